// Runs a program on this kernel as if it were an older one: Landlock has the version that is named, and there is no system call that came
// after Linux 5.15. Its status is the program's.
//
// usage: older_kernel VERSION PROGRAM [WORD...]     VERSION 0: there is no Landlock
//
// What a kernel with version N refuses to a process that asks for no more than N can refuse is the same in later kernels: so it was promised,
// and so a later kernel does for those who ask for no more.
#include <fcntl.h>
#include <linux/landlock.h>
#include <poll.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/unique_fd.hpp"

namespace {

using sallyport::UniqueFd;

constexpr int kFirstUnknown = 449;  // futex_waitv, of Linux 5.16; numbers are the same on all architectures
constexpr int kLastUnknown = 480;
constexpr std::size_t kLargest = 128;  // of the structure with what is refused

struct Offered {
    std::size_t size;  // of the structure
    std::uint64_t files;
    std::uint64_t network;
    std::uint64_t scopes;
};

// By include/uapi/linux/landlock.h of the kernels with versions 1 to 6.
constexpr std::array kOffered{
    Offered{.size = 0, .files = 0, .network = 0, .scopes = 0},
    Offered{.size = 8, .files = 0x1fff, .network = 0, .scopes = 0},
    Offered{.size = 8, .files = 0x3fff, .network = 0, .scopes = 0},
    Offered{.size = 8, .files = 0x7fff, .network = 0, .scopes = 0},
    Offered{.size = 16, .files = 0x7fff, .network = 3, .scopes = 0},
    Offered{.size = 16, .files = 0xffff, .network = 3, .scopes = 0},
    Offered{.size = 24, .files = 0xffff, .network = 3, .scopes = 3},
};

/// 0: the kernel answers.
int error_of(const Offered& kernel, const seccomp_notif& notice) {
    std::array<std::uint64_t, kLargest / 8> words{};
    const auto size = static_cast<std::size_t>(notice.data.args[1]);
    if (size < 8) return EINVAL;
    if (size > kLargest) return E2BIG;
    const iovec ours{.iov_base = words.data(), .iov_len = size};
    const iovec theirs{.iov_base = reinterpret_cast<void*>(notice.data.args[0]), .iov_len = size};
    if (::process_vm_readv(static_cast<pid_t>(notice.pid), &ours, 1, &theirs, 1, 0) !=
        static_cast<ssize_t>(size))
        return EFAULT;
    const auto unknown = words.begin() + static_cast<std::ptrdiff_t>(kernel.size / 8);
    if (std::any_of(unknown, words.end(), [](std::uint64_t word) { return word != 0; })) return E2BIG;
    const bool is_known = (words[0] & ~kernel.files) == 0 && (words[1] & ~kernel.network) == 0 &&
                          (words[2] & ~kernel.scopes) == 0;
    return is_known ? 0 : EINVAL;
}

void answer(std::size_t version, const seccomp_notif& notice, seccomp_notif_resp& reply) {
    const auto& arguments = notice.data.args;
    if (version == 0) {
        reply.error = -EOPNOTSUPP;
    } else if (arguments[2] == LANDLOCK_CREATE_RULESET_VERSION && arguments[0] == 0 && arguments[1] == 0) {
        reply.val = static_cast<std::int64_t>(version);
    } else if (arguments[2] != 0) {
        reply.error = -EINVAL;
    } else if (const int error = error_of(kOffered.at(version), notice); error != 0) {
        reply.error = -error;
    } else {
        reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    }
}

/// The filter of the calling process and all that it starts; gives back where its notices come.
int become_older() {
    const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
    // Programs that gain rights when they are executed are to do so as without it.
    bool is_made = filter != nullptr &&
                   ::seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, ::geteuid() == 0 ? 0 : 1) == 0 &&
                   ::seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(landlock_create_ruleset), 0) == 0;
    for (int call = kFirstUnknown; call <= kLastUnknown; ++call)
        is_made = is_made && ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0) == 0;
    if (!is_made || ::seccomp_load(filter) != 0) return -1;
    const int notices = ::seccomp_notify_fd(filter);
    ::seccomp_release(filter);
    return notices;
}

/// In the child. The parent takes the descriptor from this process, which waits for that.
[[noreturn]] void execute(int tell, int go, char** words) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int notices = become_older();
    char byte = 0;
    if (notices < 0 || ::write(tell, &notices, sizeof notices) != sizeof notices ||
        ::read(go, &byte, 1) != 1) {
        std::perror("older_kernel: the filter");
        ::_exit(125);
    }
    ::close(notices);
    ::execv(words[0], words);
    std::perror(words[0]);
    ::_exit(126);
}

UniqueFd take_notices(pid_t child, int told, int go) {
    int number = -1;
    if (::read(told, &number, sizeof number) != sizeof number) return {};
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    UniqueFd notices(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0)));
    return notices.is_open() && ::write(go, "", 1) == 1 ? std::move(notices) : UniqueFd();
}

/// Until `child` has ended; what it has left behind does without an answer.
void serve(std::size_t version, pid_t child, int notices) {
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    seccomp_notif* notice = nullptr;
    seccomp_notif_resp* reply = nullptr;
    if (::seccomp_notify_alloc(&notice, &reply) != 0) ::exit(125);
    std::array<pollfd, 2> wanted{{{.fd = process.get(), .events = POLLIN, .revents = 0},
                                  {.fd = notices, .events = POLLIN, .revents = 0}}};
    while (::poll(wanted.data(), wanted.size(), -1) > 0 && wanted[0].revents == 0) {
        *notice = {};
        if ((wanted[1].revents & POLLIN) == 0 || ::seccomp_notify_receive(notices, notice) != 0) continue;
        *reply = {.id = notice->id, .val = 0, .error = 0, .flags = 0};
        answer(version, *notice, *reply);
        ::seccomp_notify_respond(notices, reply);
    }
    ::seccomp_notify_free(notice, reply);
}

}  // namespace

int main(int argc, char** argv) {
    const std::size_t version = argc < 3 ? kOffered.size() : std::strtoul(argv[1], nullptr, 10);
    std::array<int, 2> told{};
    std::array<int, 2> go{};
    if (version >= kOffered.size() || ::pipe2(told.data(), O_CLOEXEC) != 0 ||
        ::pipe2(go.data(), O_CLOEXEC) != 0)
        return 125;
    const pid_t child = ::fork();
    if (child == 0) execute(told[1], go[0], argv + 2);
    ::close(told[1]);
    if (const UniqueFd notices = take_notices(child, told[0], go[1]); notices.is_open())
        serve(version, child, notices.get());
    ::close(go[1]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
