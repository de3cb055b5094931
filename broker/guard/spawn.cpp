// Runs in:  guard
#include "broker/guard/spawn.hpp"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include <cerrno>
#include <ctime>

namespace sallyport::guard {

// Uses the raw call, since the filter allows exactly these flags.
Result<UniqueFd> fork_child(const std::function<void()>& body) {
    int process = -1;
    const long pid = ::syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, nullptr, &process, nullptr, nullptr);
    if (pid < 0) return system_error("clone");
    if (pid > 0) return UniqueFd(process);
    body();
    ::_exit(0);
}

std::int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

bool is_readable(FdRef fd, int patience_ms) {
    pollfd wanted{.fd = fd.get(), .events = POLLIN, .revents = 0};
    const timespec patience{.tv_sec = patience_ms / 1000, .tv_nsec = patience_ms % 1000 * 1'000'000L};
    int ready = 0;
    do {
        ready = ::ppoll(&wanted, 1, patience_ms < 0 ? nullptr : &patience, nullptr);
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

}  // namespace sallyport::guard
