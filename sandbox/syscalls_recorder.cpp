// The system calls of the recorder, which writes the audit log.
// Runs in:  recorder
#include <linux/sched.h>
#include <sys/file.h>
#include <sys/socket.h>

#include <array>
#include <csignal>

#include "sandbox/tables.hpp"

namespace sallyport::sandbox {

namespace {

constexpr auto kA = When::kAlways;
constexpr ArgIs kToAppend{2, O_APPEND | O_TRUNC, O_APPEND};  // openat

// THREAT: an attacker who has the broker takes the recorder over, too, to change what is written. No call here truncates, and a file is
// opened for writing only to append. Two descriptors, of the files of the latest time and of budgets, are written in place from their
// beginning; a file that is opened under such a number later was opened to append, so that pwrite() appends to it, too.
// clang-format off
constexpr auto kRows = with_common(std::array{
    //          call                       arguments                             when  reason
    SyscallRule{SCMP_SYS(write),           kAny, kAny,                           kA, "lines of the log"},
    SyscallRule{SCMP_SYS(pwrite64),        is_int(0, kRecordersClock), is_null(3), kA, "the latest time, over the one before, in its own file"},
    SyscallRule{SCMP_SYS(pwrite64),        is_int(0, kRecordersBudgets), is_null(3), kA, "what is taken of budgets, over what was taken before, in its own file"},
    SyscallRule{SCMP_SYS(openat),          kToAppend, kAny,                      kA, "the log, made anew after a rename"},
    SyscallRule{SCMP_SYS(openat),          kReadOnly, kAny,                      kA, "the log, to bring it to the disk"},
    SyscallRule{SCMP_SYS(flock),           is_int(1, LOCK_EX | LOCK_NB), kAny,   kA, "the log, when an earlier recorder has ended"},
    SyscallRule{SCMP_SYS(pread64),         kAny, kAny,                           kA, "the last line of that one, whose hash the next has"},
    SyscallRule{SCMP_SYS(fstat),           kAny, kAny,                           kA, "its size, and whether it is still the same file"},
    SyscallRule{SCMP_SYS(newfstatat),      kAny, kAny,                           kA, "the same, by other C libraries; what the log's name stands for"},
    SyscallRule{SCMP_SYS(renameat),        kAny, kAny,                           kA, "a file that is full becomes the first of the kept ones"},
    SyscallRule{SCMP_SYS(renameat2),       is_int(4, 0), kAny,                   kA, "the same, where there is no renameat"},
    SyscallRule{SCMP_SYS(fdatasync),       kAny, kAny,                           kA, "lines are on the disk a second later, or before a shutdown"},
    SyscallRule{SCMP_SYS(fsync),           kAny, kAny,                           kA, "the directory, with a new file's name"},
    SyscallRule{SCMP_SYS(ppoll),           kAny, kAny,                           kA, "wait for the broker or the other process"},
    SyscallRule{SCMP_SYS(recvfrom),        is_null(4), kAny,                     kA, "wake-ups"},
    SyscallRule{SCMP_SYS(sendto),          is_null(4), kAny,                     kA, "wake-ups; the broker hears that its lines are on the disk"},
    SyscallRule{SCMP_SYS(socketpair),      is_int(0, AF_UNIX), kAny,             kA, "to a new keeper"},
    SyscallRule{SCMP_SYS(clone),           is_int(0, SIGCHLD), kAny,             kA, "a keeper when the last one was killed; no thread, no namespace"},
    SyscallRule{SCMP_SYS(close),           kAny, kAny,                           kA, "a file that is full; sockets of who is gone"},
    SyscallRule{SCMP_SYS(clock_gettime),   kAny, kAny,                           kA, "deadlines, where there is no vDSO clock"},
});
// clang-format on

constexpr auto kTable = of_this_architecture<kRows>();

static_assert(every_row_has_a_reason(kTable));

}  // namespace

std::span<const SyscallRule> recorder_syscalls() {
    return kTable;
}

}  // namespace sallyport::sandbox
