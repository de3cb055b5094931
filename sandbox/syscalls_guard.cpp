// The system calls of the guard, of its children, which freeze, thaw and trim, and of its planner, which only reads.
// Runs in:  guard
#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <csignal>

#include "sandbox/tables.hpp"

namespace sallyport::sandbox {

namespace {

constexpr auto kA = When::kAlways;
constexpr auto kG = When::kForks;                                     // the guard itself, not its planner
constexpr ArgIs kToRead{2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY};  // openat

// THREAT: the guard has CAP_SYS_ADMIN. The calls in which it counts are three ioctl() numbers: no mount, no namespace, no program, no
// file opened to be written.
// clang-format off
constexpr auto kRows = with_common(std::array{
    //          call                       arguments                          when  reason
    SyscallRule{SCMP_SYS(ioctl),           is_int(1, FIFREEZE), kAny,         kG, "guest-fsfreeze-freeze"},
    SyscallRule{SCMP_SYS(ioctl),           is_int(1, FITHAW), kAny,           kG, "guest-fsfreeze-thaw, deadline, death of a peer"},
    SyscallRule{SCMP_SYS(ioctl),           is_int(1, FITRIM), kAny,           kG, "guest-fstrim"},
    SyscallRule{SCMP_SYS(syncfs),          kAny, kAny,                        kG, "write out before the first file system is frozen"},
    SyscallRule{SCMP_SYS(openat),          kToRead, kAny,                     kA, "mount points; what block devices are made of, in /sys"},
    SyscallRule{SCMP_SYS(openat2),         kAny, kAny,                        kG, "the way to a mount point, as the kernel has it in memory; how it opens is up to Landlock"},
    SyscallRule{SCMP_SYS(statx),           is_int(3, STATX_MNT_ID), kAny,     kG, "whether it is the mount that was meant"},
    SyscallRule{SCMP_SYS(newfstatat),      kByDescriptor, kAny,               kA, "the device of a Btrfs; kind of a directory of /sys"},
    SyscallRule{SCMP_SYS(fstat),           kAny, kAny,                        kA, "the same, by later C libraries"},
    SyscallRule{SCMP_SYS(fcntl),           is_int(1, F_GETFL), kAny,          kA, "directories of /sys, by the C library"},
    SyscallRule{SCMP_SYS(fcntl),           is_int(1, F_SETFD), kAny,          kA, "the same"},
    SyscallRule{SCMP_SYS(getdents64),      kAny, kAny,                        kA, "directories of /sys"},
    SyscallRule{SCMP_SYS(pread64),         kAny, kAny,                        kA, "the list of mounts; files of /sys"},
    SyscallRule{SCMP_SYS(clone),           is_int(0, CLONE_PIDFD | SIGCHLD), kAny, kG, "freezer, spare, helpers; no thread, no namespace"},
    SyscallRule{SCMP_SYS(pidfd_send_signal), is_int(1, SIGKILL), kAny,        kG, "kill a planner at its deadline"},
    SyscallRule{SCMP_SYS(mlockall),        kAny, kAny,                        kG, "a child's memory"},
    SyscallRule{SCMP_SYS(fstatfs),         kAny, kAny,                        kG, "whether it is of the kind that the policy means"},
    SyscallRule{SCMP_SYS(capset),          kAny, kAny,                        kG, "the planner, a new child, drops what it has"},
    SyscallRule{SCMP_SYS(prctl),           is_int(0, PR_SET_NO_NEW_PRIVS), kAny, kG, "the same"},
    SyscallRule{SCMP_SYS(landlock_create_ruleset), kAny, kAny,                kG, "the same: it restricts itself further"},
    SyscallRule{SCMP_SYS(landlock_add_rule), kAny, kAny,                      kG, "the same"},
    SyscallRule{SCMP_SYS(landlock_restrict_self), kAny, kAny,                 kG, "the same"},
    SyscallRule{SCMP_SYS(seccomp),         is_int(0, SECCOMP_SET_MODE_FILTER), kAny, kG, "the same: its own filter, on top of this one"},
    SyscallRule{SCMP_SYS(timerfd_settime), kAny, kAny,                        kG, "deadlines"},
    SyscallRule{SCMP_SYS(ppoll),           kAny, kAny,                        kA, "wait for the broker, a child or a deadline"},
    SyscallRule{SCMP_SYS(recvfrom),        is_null(4), kAny,                  kG, "orders of the broker; wake-ups of a child"},
    SyscallRule{SCMP_SYS(sendto),          is_null(4), kAny,                  kA, "reports to the broker; wake-ups of a child"},
    SyscallRule{SCMP_SYS(shutdown),        is_int(1, SHUT_WR), kAny,          kG, "the order to thaw"},
    SyscallRule{SCMP_SYS(socketpair),      is_int(0, AF_UNIX), kAny,          kG, "to a new child"},
    SyscallRule{SCMP_SYS(close),           kAny, kAny,                        kA, "mount points, children"},
    SyscallRule{SCMP_SYS(clock_gettime),   kAny, kAny,                        kG, "deadlines, where there is no vDSO clock"},
});
// clang-format on

constexpr auto kTable = of_this_architecture<kRows>();

static_assert(every_row_has_a_reason(kTable));

}  // namespace

std::span<const SyscallRule> guard_syscalls() {
    return kTable;
}

}  // namespace sallyport::sandbox
