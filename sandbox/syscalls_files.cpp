// The system calls of the files hand. The policy decides which rows are installed; a clerk has none that starts a process.
// Runs in:  files
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <array>
#include <csignal>

#include "sandbox/tables.hpp"

namespace sallyport::sandbox {

namespace {

using enum When;

constexpr std::uint64_t kSameOwner = 0xffff'ffff;  // fchown

// clang-format off
constexpr auto kRows = with_common(std::array{
    //          call                        arguments                 when           reason
    SyscallRule{SCMP_SYS(ppoll),            kAny, kAny,               kAlways,       "wait for orders and for the end of clerks"},
    SyscallRule{SCMP_SYS(recvmsg),          kAny, kAny,               kAlways,       "an order, with the file that it is about"},
    SyscallRule{SCMP_SYS(recvfrom),         is_null(4), kAny,         kAlways,       "orders to the parent"},
    SyscallRule{SCMP_SYS(sendmsg),          kAny, kAny,               kAlways,       "an opened file, or a clerk's socket, to the broker"},
    SyscallRule{SCMP_SYS(sendto),           is_null(4), kAny,         kAlways,       "reports to the broker"},
    SyscallRule{SCMP_SYS(getrandom),        kAny, kAny,               kAlways,       "a name that nobody has searched for"},
    SyscallRule{SCMP_SYS(openat2),          kAny, kAny,               kAlways,       "find or make a file, one step of its path at a time"},
    SyscallRule{SCMP_SYS(openat),           lacks_flag(2, O_CREAT), kAny, kAlways,   "open the inode that was checked, by its /proc/self/fd name"},
    SyscallRule{SCMP_SYS(readlinkat),       kAny, kAny,               kAlways,       "where the inode lies now; where a link leads"},
    SyscallRule{SCMP_SYS(statx),            kAny, kAny,               kAlways,       "check the inode; which inode a deny rule names now"},
    SyscallRule{SCMP_SYS(fstatfs),          kAny, kAny,               kAlways,       "whether the inode is one of a procfs; whether its file can be held by the broker"},
    SyscallRule{SCMP_SYS(newfstatat),       kByDescriptor, kAny,      kAlways,       "how large a file is"},
    SyscallRule{SCMP_SYS(fstat),            kAny, kAny,               kAlways,       "the same, by later C libraries"},
    SyscallRule{SCMP_SYS(lseek),            kAny, kAny,               kAlways,       "guest-file-seek"},
    SyscallRule{SCMP_SYS(read),             kAny, kAny,               kAlways,       "contents, at the file's own position"},
    SyscallRule{SCMP_SYS(pread64),          kAny, kAny,               kAlways,       "contents"},
    SyscallRule{SCMP_SYS(close),            kAny, kAny,               kAlways,       "files that are done"},
    SyscallRule{SCMP_SYS(geteuid),          kAny, kAny,               kAlways,       "whose links are followed"},
    SyscallRule{SCMP_SYS(clock_gettime),    kAny, kAny,               kAlways,       "rules that expire, where there is no vDSO clock"},
    SyscallRule{SCMP_SYS(mmap),             kWritable, kShared,       kAlways,       "the arena"},

    SyscallRule{SCMP_SYS(write),            kAny, kAny,               kWritesFiles,  "contents, at the file's own position"},
    SyscallRule{SCMP_SYS(pwrite64),         kAny, kAny,               kWritesFiles,  "contents"},
    SyscallRule{SCMP_SYS(fcntl),            is_int(1, F_GETFL), kAny, kWritesFiles,  "whether a file is appended to"},

    SyscallRule{SCMP_SYS(getegid),          kAny, kAny,               kCreatesFiles, "the group of a new file"},
    SyscallRule{SCMP_SYS(fchmod),           kAny, kAny,               kCreatesFiles, "exactly the mode of the rule, whatever the umask"},
    SyscallRule{SCMP_SYS(fchown),           is_int(1, kSameOwner), kAny, kCreatesFiles, "the agent's own group, whatever the directory's"},
    SyscallRule{SCMP_SYS(fremovexattr),     kAny, kAny,               kCreatesFiles, "no access list, whatever the directory's"},
    SyscallRule{SCMP_SYS(unlinkat),         is_int(2, 0), kAny,       kCreatesFiles, "a new file that could not get these is taken away again"},

    SyscallRule{SCMP_SYS(clone),            is_int(0, CLONE_PIDFD | SIGCHLD), kAny, kForks, "a clerk; no thread, no namespace"},
    SyscallRule{SCMP_SYS(socketpair),       is_int(0, AF_UNIX), kAny, kForks,        "between a clerk and the broker"},
    SyscallRule{SCMP_SYS(pidfd_send_signal), is_int(1, SIGKILL), kAny, kForks,       "kill a clerk that the broker has given up"},
    SyscallRule{SCMP_SYS(waitid),           kAny, kAny,               kForks,        "that a clerk has ended"},
    SyscallRule{SCMP_SYS(prctl),            is_int(0, PR_SET_PDEATHSIG), is_int(1, SIGKILL), kForks, "a new clerk dies with its parent"},
    SyscallRule{SCMP_SYS(getppid),          kAny, kAny,               kForks,        "which has not died before"},
    SyscallRule{SCMP_SYS(seccomp),          is_int(0, SECCOMP_SET_MODE_FILTER), kAny, kForks, "a new clerk's own filter, on top of this one"},
});
// clang-format on

constexpr auto kTable = of_this_architecture<kRows>();

static_assert(every_row_has_a_reason(kTable));

}  // namespace

std::span<const SyscallRule> files_syscalls() {
    return kTable;
}

}  // namespace sallyport::sandbox
