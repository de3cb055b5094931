// Debian's qemu-ga, to be asked the same as our agent.
#pragma once

#include <string>

#include "tests/support/process.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::test {

class QemuGa {
public:
    /// On a socket, or on the terminal whose path is given. `path` is its PATH, if it is to have one.
    explicit QemuGa(const std::string& terminal = "", const std::string& path = "");
    [[nodiscard]] std::string socket() const { return scratch_.path("qga.sock"); }
    /// A folder for files, below the one in which it was started.
    [[nodiscard]] std::string folder() const { return scratch_.path("work"); }
    [[nodiscard]] pid_t pid() const { return child_.pid(); }

private:
    Scratch scratch_;
    Child child_;
};

}  // namespace sallyport::test
