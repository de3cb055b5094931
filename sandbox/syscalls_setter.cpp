// The system calls of a setter, which sets the clock, processors or memory blocks.
// Runs in:  setter
#include <fcntl.h>
#include <linux/rtc.h>
#include <sys/socket.h>

#include <array>
#include <ctime>

#include "sandbox/tables.hpp"

namespace sallyport::sandbox {

namespace {

constexpr auto kA = When::kAlways;
constexpr auto kC = When::kSetsClock;
constexpr auto kD = When::kSetsDevices;
constexpr ArgIs kToWrite{2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDWR};  // openat

// THREAT: its input is numbers of a host and texts of the kernel. No call here creates a file, executes, connects or forks, and the only
// clocks that are set are the wall clock and the hardware clock.
// clang-format off
constexpr auto kRows = with_common(std::array{
    //          call                       arguments                             when  reason
    SyscallRule{SCMP_SYS(sendto),          is_null(4), kAny,                     kA, "what has become of it"},
    SyscallRule{SCMP_SYS(ppoll),           kAny, kAny,                           kA, "wait until the launcher takes that"},
    SyscallRule{SCMP_SYS(clock_settime),   is_int(0, CLOCK_REALTIME), kAny,      kC, "the time that was asked for"},
    SyscallRule{SCMP_SYS(ioctl),           is_int(1, RTC_RD_TIME), kAny,         kC, "the hardware clock's time"},
    SyscallRule{SCMP_SYS(ioctl),           is_int(1, RTC_SET_TIME), kAny,        kC, "the hardware clock follows the system's"},
    SyscallRule{SCMP_SYS(clock_nanosleep), is_int(0, CLOCK_MONOTONIC), kAny,     kC, "the moment at which a second begins"},
    SyscallRule{SCMP_SYS(clock_gettime),   kAny, kAny,                           kC, "the step, where there is no vDSO clock"},
    SyscallRule{SCMP_SYS(openat),          kReadOnly, kAny,                      kD, "directories of processors and blocks; whether they are online"},
    SyscallRule{SCMP_SYS(openat),          kToWrite, kAny,                       kD, "what takes one online or offline"},
    SyscallRule{SCMP_SYS(getdents64),      kAny, kAny,                           kD, "which processors there are, to count those that are online"},
    SyscallRule{SCMP_SYS(fstat),           kAny, kAny,                           kD, "the same: whether it is a directory"},
    SyscallRule{SCMP_SYS(newfstatat),      kByDescriptor, kAny,                  kD, "the same, by other C libraries"},
    SyscallRule{SCMP_SYS(pread64),         kAny, kAny,                           kD, "whether it is online"},
    SyscallRule{SCMP_SYS(pwrite64),        kAny, kAny,                           kD, "take it online or offline"},
    SyscallRule{SCMP_SYS(close),           kAny, kAny,                           kA, "files that have been looked at"},
});
// clang-format on

constexpr auto kTable = of_this_architecture<kRows>();

static_assert(every_row_has_a_reason(kTable));

}  // namespace

std::span<const SyscallRule> setter_syscalls() {
    return kTable;
}

}  // namespace sallyport::sandbox
