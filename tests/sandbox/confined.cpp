// Runs a piece of a test in a child process and says how the child ended.
#include "tests/sandbox/confined.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace sallyport::sandbox::testing {

bool Ended::exited(int wanted) const {
    return code == CLD_EXITED && status == wanted;
}

bool Ended::killed_by_filter() const {
    return (code == CLD_KILLED || code == CLD_DUMPED) && status == SIGSYS;
}

Ended in_child(const std::function<int()>& body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        std::_Exit(body());
    }
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) != 0 && errno == EINTR) {
    }
    return {.code = info.si_code, .status = info.si_status};
}

bool become_ordinary() {
    if (::geteuid() != 0) return true;
    if (::setgroups(0, nullptr) != 0) return false;
    if (::setresgid(kOrdinary, kOrdinary, kOrdinary) != 0 ||
        ::setresuid(kOrdinary, kOrdinary, kOrdinary) != 0)
        return false;
    // The change of ids made the process undumpable, which one that was started by this user is not.
    return ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

Ended in_child_as_ordinary_user(const std::function<int()>& body) {
    return in_child([&] { return become_ordinary() ? body() : 100; });
}

int report(const Status& status) {
    if (status) return 0;
    std::fprintf(stderr, "%s: %s\n", status.error().what, std::strerror(status.error().sys_errno));
    return 1;
}

Scratch::Scratch() : path_(std::filesystem::temp_directory_path() / "sallyport-sandbox-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr || ::chmod(path_.c_str(), 0755) != 0) std::abort();
}

Scratch::~Scratch() {
    std::filesystem::remove_all(path_);
}

UniqueFd Scratch::directory(const std::string& name) const {
    std::filesystem::create_directories(path(name));
    return UniqueFd(::open(path(name).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

void Scratch::file(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
}

}  // namespace sallyport::sandbox::testing
