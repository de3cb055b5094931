// A folder of a test's own, gone when the test ends.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace sallyport::test {

class Scratch {
public:
    Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    /// Removes the folder. Fails the test if something is mounted in it.
    ~Scratch();

    [[nodiscard]] std::string path() const { return path_; }
    [[nodiscard]] std::string path(std::string_view name) const { return path_ + "/" + std::string(name); }
    /// Writes a file, making its folders; its path.
    std::string write(std::string_view name, std::string_view contents, mode_t mode = 0644) const;
    std::string make_folder(std::string_view name, mode_t mode = 0755) const;
    /// Makes everything in the folder, and the folder, belong to `user`.
    void give_to(uid_t user) const;

private:
    std::string path_;
};

/// The whole text of a file; throws if it cannot be read.
std::string read_file(const std::filesystem::path& path);

}  // namespace sallyport::test
