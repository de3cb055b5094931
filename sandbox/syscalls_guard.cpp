// The system calls of the guard and of its children, which freeze, thaw and trim.
// Runs in:  guard
#include <linux/fs.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <csignal>

#include "sandbox/tables.hpp"

namespace sallyport::sandbox {

namespace {

constexpr auto kA = When::kAlways;
constexpr ArgIs kToRead{2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY};  // openat

// THREAT: the guard has CAP_SYS_ADMIN; these are all the calls in which it counts: three ioctl() numbers. No mount, no
// namespace, no program, no file opened to be written.
// clang-format off
constexpr std::array kTable{
    //          call                       arguments                          when  reason
    SyscallRule{SCMP_SYS(ioctl),           is_int(1, FIFREEZE), kAny,         kA, "guest-fsfreeze-freeze"},
    SyscallRule{SCMP_SYS(ioctl),           is_int(1, FITHAW), kAny,           kA, "guest-fsfreeze-thaw, deadline, death of a peer"},
    SyscallRule{SCMP_SYS(ioctl),           is_int(1, FITRIM), kAny,           kA, "guest-fstrim"},
    SyscallRule{SCMP_SYS(syncfs),          kAny, kAny,                        kA, "write out before the first file system is frozen"},
    SyscallRule{SCMP_SYS(openat),          kToRead, kAny,                     kA, "mount points; what block devices are made of, in /sys"},
    SyscallRule{SCMP_SYS(statx),           is_int(3, STATX_MNT_ID), kAny,     kA, "whether it is the mount that was meant"},
    SyscallRule{SCMP_SYS(newfstatat),      kByDescriptor, kAny,               kA, "the device of a Btrfs; kind of a directory of /sys"},
    SyscallRule{SCMP_SYS(fstat),           kAny, kAny,                        kA, "the same, by later C libraries"},
    SyscallRule{SCMP_SYS(fcntl),           is_int(1, F_GETFL), kAny,          kA, "directories of /sys, by the C library"},
    SyscallRule{SCMP_SYS(fcntl),           is_int(1, F_SETFD), kAny,          kA, "the same"},
    SyscallRule{SCMP_SYS(getdents64),      kAny, kAny,                        kA, "directories of /sys"},
    SyscallRule{SCMP_SYS(pread64),         kAny, kAny,                        kA, "the list of mounts; files of /sys"},
    SyscallRule{SCMP_SYS(clone),           is_int(0, CLONE_PIDFD | SIGCHLD), kAny, kA, "freezer, spare, helpers; no thread, no namespace"},
    SyscallRule{SCMP_SYS(mlockall),        kAny, kAny,                        kA, "a child's memory"},
    SyscallRule{SCMP_SYS(timerfd_settime), kAny, kAny,                        kA, "deadlines"},
    SyscallRule{SCMP_SYS(ppoll),           kAny, kAny,                        kA, "wait for the broker, a child or a deadline"},
    SyscallRule{SCMP_SYS(recvfrom),        is_null(4), kAny,                  kA, "orders of the broker; wake-ups of a child"},
    SyscallRule{SCMP_SYS(sendto),          is_null(4), kAny,                  kA, "reports to the broker; wake-ups of a child"},
    SyscallRule{SCMP_SYS(shutdown),        is_int(1, SHUT_WR), kAny,          kA, "the order to thaw"},
    SyscallRule{SCMP_SYS(socketpair),      is_int(0, AF_UNIX), kAny,          kA, "to a new child"},
    SyscallRule{SCMP_SYS(close),           kAny, kAny,                        kA, "mount points, children"},
    SyscallRule{SCMP_SYS(clock_gettime),   kAny, kAny,                        kA, "deadlines, where there is no vDSO clock"},
    SyscallRule{SCMP_SYS(mmap),            kNotExecutable, kNoFile,           kA, "allocator; memory shared with children"},
    SyscallRule{SCMP_SYS(munmap),          kAny, kAny,                        kA, "allocator"},
    SyscallRule{SCMP_SYS(mremap),          kAny, kAny,                        kA, "allocator"},
    SyscallRule{SCMP_SYS(madvise),         kAny, kAny,                        kA, "allocator"},
    SyscallRule{SCMP_SYS(brk),             kAny, kAny,                        kA, "allocator"},
    SyscallRule{SCMP_SYS(restart_syscall), kAny, kAny,                        kA, "the kernel's own, after a stop and continue"},
    SyscallRule{SCMP_SYS(exit_group),      kAny, kAny,                        kA, "normal end"},
};
// clang-format on

static_assert(every_row_has_a_reason(kTable));

}  // namespace

std::span<const SyscallRule> guard_syscalls() {
    return kTable;
}

}  // namespace sallyport::sandbox
