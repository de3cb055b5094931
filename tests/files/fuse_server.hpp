// A FUSE file system of a test's own, whose server leaves one kind of request unanswered, for ever.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/unique_fd.hpp"
#include "tests/support/process.hpp"

namespace sallyport::test {

/// Holds one file, `file`, of 8 bytes ("contents"). Mounted in this mount namespace.
class FuseServer {
public:
    /// `hangs_at` is an opcode of linux/fuse.h; 0: everything is answered.
    FuseServer(const std::string& point, std::uint32_t hangs_at);
    FuseServer(const FuseServer&) = delete;
    FuseServer& operator=(const FuseServer&) = delete;
    ~FuseServer() { release(); }

    /// Whether a request of that kind has come, which waits from now on.
    [[nodiscard]] bool is_waited_for() const;
    /// Whether one has come already.
    [[nodiscard]] bool has_been_asked() const;
    /// Ends the server, and with it every wait, and unmounts.
    void release();

private:
    std::string point_;
    UniqueFd noted_;
    std::unique_ptr<Child> server_;
};

}  // namespace sallyport::test
