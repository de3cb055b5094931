// The system calls of the inspector, and of the children that it forks for queries.
// Runs in:  inspector
//
// THREAT: texts that the guest's users choose (names of mounts, users, interfaces) may take a child over. It can read what anybody may
// read below a few directories; no call here writes a file, connects or executes. A child's own filter lacks the rows that fork, so
// that nothing of a child outlives it.
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <array>
#include <csignal>

#include "sandbox/tables.hpp"

namespace sallyport::sandbox {

namespace {

constexpr auto kA = When::kAlways;

// clang-format off
constexpr auto kRows = with_common(std::array{
    //          call                        arguments                                     when  reason
    SyscallRule{SCMP_SYS(ppoll),            kAny, kAny,                                   kA, "wait for orders, queries and the end of children"},
    SyscallRule{SCMP_SYS(recvfrom),         is_null(4), kAny,                             kA, "queries of the broker; answers of netlink"},
    SyscallRule{SCMP_SYS(sendto),           is_null(4), kAny,                             kA, "replies to the broker; questions to the kernel over netlink, which has no address"},
    SyscallRule{SCMP_SYS(openat),           kReadOnly, kAny,                              kA, "sysfs, udev's database, the time zone; Landlock: nothing else"},
    SyscallRule{SCMP_SYS(read),             kAny, kAny,                                   kA, "the same"},
    SyscallRule{SCMP_SYS(pread64),          kAny, kAny,                                   kA, "the files of /proc that were opened at start"},
    SyscallRule{SCMP_SYS(lseek),            kAny, kAny,                                   kA, "streams of the C library"},
    SyscallRule{SCMP_SYS(close),            kAny, kAny,                                   kA, "what was opened"},
    SyscallRule{SCMP_SYS(newfstatat),       kAny, kAny,                                   kA, "what kind of file a name is"},
    SyscallRule{SCMP_SYS(fstat),            kAny, kAny,                                   kA, "the same, by later C libraries"},
    SyscallRule{SCMP_SYS(statx),            kAny, kAny,                                   kA, "the same, by later libraries"},
    SyscallRule{SCMP_SYS(statfs),           kAny, kAny,                                   kA, "guest-get-fsinfo: sizes of a file system"},
    SyscallRule{SCMP_SYS(fstatfs),          kAny, kAny,                                   kA, "libudev: whether a directory is one of sysfs"},
    SyscallRule{SCMP_SYS(getdents64),       kAny, kAny,                                   kA, "directories of sysfs"},
    SyscallRule{SCMP_SYS(readlink),         kAny, kAny,                                   kA, "links of sysfs"},
    SyscallRule{SCMP_SYS(readlinkat),       kAny, kAny,                                   kA, "the same"},
    SyscallRule{SCMP_SYS(access),           kAny, kAny,                                   kA, "libudev: whether a device is there"},
    SyscallRule{SCMP_SYS(faccessat),        kAny, kAny,                                   kA, "the same, by later C libraries"},
    SyscallRule{SCMP_SYS(faccessat2),       kAny, kAny,                                   kA, "the same"},
    SyscallRule{SCMP_SYS(fcntl),            is_int(1, F_GETFL), kAny,                     kA, "streams and directories of the C library: how a descriptor was opened"},
    SyscallRule{SCMP_SYS(uname),            kAny, kAny,                                   kA, "guest-get-host-name, guest-get-osinfo"},
    SyscallRule{SCMP_SYS(clock_gettime),    kAny, kAny,                                   kA, "guest-get-time; deadlines, where there is no vDSO clock"},
    SyscallRule{SCMP_SYS(getrandom),        kAny, kAny,                                   kA, "hash seeds of libudev"},
    SyscallRule{SCMP_SYS(futex),            kAny, kAny,                                   kA, "once-only initialisers of libraries"},
    SyscallRule{SCMP_SYS(mprotect),         kNotExecutable, kAny,                         kA, "allocator"},

    SyscallRule{SCMP_SYS(clone),            is_int(0, CLONE_PIDFD | SIGCHLD), kAny,       When::kForks, "fork a child for queries; no thread, no namespace"},
    SyscallRule{SCMP_SYS(recvmsg),          kAny, kAny,                                   When::kForks, "orders of the broker, with the socket of a new child"},
    SyscallRule{SCMP_SYS(pidfd_send_signal), is_int(1, SIGKILL), kAny,                    When::kForks, "kill a child"},
    SyscallRule{SCMP_SYS(waitid),           kAny, kAny,                                   When::kForks, "that a child has ended"},
    SyscallRule{SCMP_SYS(landlock_create_ruleset), kAny, kAny,                            When::kForks, "a new child restricts itself further"},
    SyscallRule{SCMP_SYS(landlock_add_rule), kAny, kAny,                                  When::kForks, "the same"},
    SyscallRule{SCMP_SYS(landlock_restrict_self), kAny, kAny,                             When::kForks, "the same"},
    SyscallRule{SCMP_SYS(seccomp),          is_int(0, SECCOMP_SET_MODE_FILTER), kAny,     When::kForks, "the same: its own filter, on top of this one"},

    SyscallRule{SCMP_SYS(socket),           is_int(0, AF_NETLINK), is_int(2, NETLINK_ROUTE), When::kNetlink, "interfaces and addresses"},
});
// clang-format on

constexpr auto kTable = of_this_architecture<kRows>();

static_assert(every_row_has_a_reason(kTable));

}  // namespace

std::span<const SyscallRule> inspector_syscalls() {
    return kTable;
}

}  // namespace sallyport::sandbox
