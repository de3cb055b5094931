#include "tests/support/qemu_ga.hpp"

#include <sys/stat.h>
#include <unistd.h>

namespace sallyport::test {

QemuGa::QemuGa(const std::string& terminal)
    : child_(Program{.words = {"/usr/sbin/qemu-ga", "-m", terminal.empty() ? "unix-listen" : "isa-serial",
                               "-p", terminal.empty() ? socket() : terminal, "-t", scratch_.path(), "-f",
                               scratch_.path("pid"), "-l", scratch_.path("log")},
                     .environment = {"QGA_CONF=" + scratch_.path("none")},
                     .output = scratch_.path("output"),
                     .before_exec = [folder = scratch_.path()] {
                         ::umask(022);
                         if (::chdir(folder.c_str()) != 0) ::_exit(123);
                     }}) {}

}  // namespace sallyport::test
