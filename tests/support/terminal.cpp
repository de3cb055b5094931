#include "tests/support/terminal.hpp"

#include <fcntl.h>

#include <array>
#include <cstdlib>
#include <stdexcept>

namespace sallyport::test {

Terminal open_terminal() {
    Terminal terminal;
    terminal.master = UniqueFd(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    if (::grantpt(terminal.master.get()) != 0 || ::unlockpt(terminal.master.get()) != 0)
        throw std::runtime_error("openpt");
    std::array<char, 64> name{};
    if (::ptsname_r(terminal.master.get(), name.data(), name.size()) != 0)
        throw std::runtime_error("ptsname");
    terminal.path = name.data();
    terminal.slave = UniqueFd(::open(terminal.path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    return terminal;
}

}  // namespace sallyport::test
