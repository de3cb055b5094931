// File systems of a test's own, in images on loop devices; and whoever writes to them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "tests/support/process.hpp"

namespace sallyport::test {

/// A mounted file system. Only in a cage. Thawed, unmounted and detached when it goes.
class LoopFs {
public:
    struct Wanted {
        std::string type = "ext4";
        std::string name = "fs";      // mounted on /mnt/NAME
        std::string folder = "/var";  // of its image
        std::size_t size = 16UL << 20U;
    };
    explicit LoopFs(const Wanted& wanted);
    LoopFs(const LoopFs&) = delete;
    LoopFs& operator=(const LoopFs&) = delete;
    ~LoopFs();

    [[nodiscard]] std::string point() const { return point_; }
    [[nodiscard]] std::string path(std::string_view name) const { return point_ + "/" + std::string(name); }
    [[nodiscard]] std::string device() const { return device_; }

private:
    std::string point_;
    std::string device_;
    std::string image_;
};

/// A child that writes a file and ends with 0; it waits while the file system is frozen.
std::unique_ptr<Child> write_to(const std::string& file);
/// Whether a file can be written in time: the file system is not frozen.
bool is_writable(const std::string& folder, milliseconds patience = milliseconds(1000));
/// Whether the kernel makes a writer wait. Leaves it behind in `writer`.
bool blocks_writers(const std::string& folder, std::unique_ptr<Child>& writer);

/// Mounts `point` once more on `other`, until it goes.
class BindMount {
public:
    BindMount(const std::string& point, const std::string& other);
    BindMount(const BindMount&) = delete;
    BindMount& operator=(const BindMount&) = delete;
    ~BindMount();

private:
    std::string other_;
};

}  // namespace sallyport::test
