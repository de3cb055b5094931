// The smallest nursery and worker: real start, real lockdown, no work. Built like the worker, as a static-
// pie.
// Runs in:  tests, in the place of the worker executable  Arguments: "nursery" UID GID. Descriptors: 3 a
// socket to the test, 4 this executable, 6 an arena. Each step that succeeded is one letter on the socket: N the nursery
// is locked down, W the worker is, E the worker's end was seen. Then the nursery waits for the socket to
// close.

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sandbox/lockdown.hpp"
#include "sandbox/syscalls.hpp"

namespace sallyport::sandbox {

namespace {

constexpr int kSocket = 3;
constexpr int kExecutable = 4;
constexpr int kArena = 6;
constexpr int kFilter = 7;
constexpr int kCopy = 60;  // a free one

bool tell(int socket, std::string_view text) {
    return ::send(socket, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

int failed(const Error& error) {
    tell(kSocket, std::string("X") + error.what + " " + std::to_string(error.sys_errno));
    return 1;
}

std::string take(int socket) {
    std::string text(64, '\0');
    const ssize_t got = ::recv(socket, text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

int worker(const Filter& filter) {
    struct stat info{};
    if (::fstat(kArena, &info) != 0) return 2;
    if (::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, kArena, 0) == MAP_FAILED) return 3;
    const UniqueFd events(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event wanted{.events = EPOLLIN, .data = {}};
    if (::epoll_ctl(events.get(), EPOLL_CTL_ADD, kSocket, &wanted) != 0) return 4;
    if (const auto locked = lockdown_worker(filter); !locked) return failed(locked.error());
    if (!tell(kSocket, "W")) return 5;
    epoll_event event{};
    if (::epoll_pwait(events.get(), &event, 1, -1, nullptr) != 1) return 6;
    return take(kSocket) == "end" ? 0 : 7;
}

int start_worker(const Filter& filter) {
    int pidfd = -1;
    const long pid = ::syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, nullptr, &pidfd, nullptr, nullptr);
    if (pid == 0) std::_Exit(worker(filter));
    return pid < 0 ? -1 : pidfd;
}

// The same program again, as the nursery executes itself.
int execute_again() {
    const std::array<char*, 2> arguments{const_cast<char*>("nursery"), nullptr};
    char* none = nullptr;
    // A copy onto itself is an error, so by way of another.
    for (const int fd : {kSocket, kExecutable, kFilter, kArena})
        if (::dup3(fd, kCopy, O_CLOEXEC) < 0 || ::dup3(kCopy, fd, 0) < 0) return 125;
    ::execveat(kExecutable, "", arguments.data(), &none, AT_EMPTY_PATH);
    return 126;
}

// Above standard error. To copy one is the only question that the filter lets through.
std::string open_descriptors() {
    std::string all;
    for (int fd = 3; fd < kCopy; ++fd)
        if (::dup3(fd, kCopy, O_CLOEXEC) == kCopy) all += " " + std::to_string(fd);
    return all;
}

int nursery(uid_t uid, gid_t gid) {
    const auto filter = filter_of_workers();
    const auto file = filter ? filter->to_file() : std::unexpected(filter.error());
    if (!file) return failed(file.error());
    if (file->get() != kFilter && ::dup3(file->get(), kFilter, O_CLOEXEC) < 0) return 11;
    const std::array kept{FdRef(kSocket), FdRef(kFilter), FdRef(kArena)};
    if (const auto locked = lockdown_nursery(uid, gid, FdRef(kExecutable), kept); !locked)
        return failed(locked.error());
    return tell(kSocket, "N" + open_descriptors()) ? execute_again() : 8;
}

int nursery_again() {
    if (take(kSocket) != "worker") return 12;
    const auto filter = Filter::from_file(FdRef(kFilter));
    if (!filter) return failed(filter.error());
    if (const auto hidden = hide_again(); !hidden) return failed(hidden.error());
    const int worker = start_worker(*filter);
    if (worker < 0) return 9;
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(worker), &info, WEXITED) != 0) return 10;
    tell(kSocket, info.si_code == CLD_EXITED && info.si_status == 0
                      ? std::string("E")
                      : "X worker: " + std::to_string(info.si_code) + " " + std::to_string(info.si_status));
    take(kSocket);
    return 0;
}

}  // namespace

}  // namespace sallyport::sandbox

int main(int argc, char** argv) {
    if (argc == 1) return sallyport::sandbox::nursery_again();
    if (argc != 4) return 1;
    return sallyport::sandbox::nursery(static_cast<uid_t>(std::strtoul(argv[2], nullptr, 10)),
                                       static_cast<gid_t>(std::strtoul(argv[3], nullptr, 10)));
}
