#include "tests/support/qemu_ga.hpp"

#include <sys/stat.h>
#include <unistd.h>

namespace sallyport::test {

namespace {

std::vector<std::string> environment_of(const Scratch& scratch, const std::string& path) {
    std::vector<std::string> variables{"QGA_CONF=" + scratch.path("none")};
    if (!path.empty()) variables.push_back("PATH=" + path);
    return variables;
}

}  // namespace

QemuGa::QemuGa(const std::string& terminal, const std::string& path)
    : child_(Program{.words = {"/usr/sbin/qemu-ga", "-m", terminal.empty() ? "unix-listen" : "isa-serial",
                               "-p", terminal.empty() ? socket() : terminal, "-t", scratch_.path(), "-f",
                               scratch_.path("pid"), "-l", scratch_.path("log")},
                     .environment = environment_of(scratch_, path),
                     .output = scratch_.path("output"),
                     .before_exec = [folder = scratch_.path()] {
                         ::umask(022);
                         if (::chdir(folder.c_str()) != 0) ::_exit(123);
                     }}) {}

}  // namespace sallyport::test
