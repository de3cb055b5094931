// The system calls of the short-lived process that turns the text of a policy into its compiled form.
// Runs in:  sallyport-policy compile and options, started by the starter
// Input:    the admin's text, already open
#include <array>

#include "sandbox/tables.hpp"

namespace sallyport::sandbox {

namespace {

constexpr auto kA = When::kAlways;

// clang-format off
constexpr auto kRows = with_common(std::array{
    //          call                       arguments                when  reason
    SyscallRule{SCMP_SYS(read),            kAny, kAny,              kA, "the policy's text"},
    SyscallRule{SCMP_SYS(write),           kAny, kAny,              kA, "its compiled form; messages"},
    SyscallRule{SCMP_SYS(writev),          kAny, kAny,              kA, "messages, by the C++ library's streams"},
    SyscallRule{SCMP_SYS(lseek),           kAny, kAny,              kA, "streams"},
    SyscallRule{SCMP_SYS(openat),          kReadOnly, kAny,         kA, "time zones; Landlock: nothing else"},
    SyscallRule{SCMP_SYS(newfstatat),      kByDescriptor, kAny,     kA, "streams: size and kind of an open file"},
    SyscallRule{SCMP_SYS(fstat),           kAny, kAny,              kA, "the same, by later C libraries"},
    SyscallRule{SCMP_SYS(close),           kAny, kAny,              kA, "streams"},
    SyscallRule{SCMP_SYS(mprotect),        kNotExecutable, kAny,    kA, "allocator"},
    SyscallRule{SCMP_SYS(futex),           kAny, kAny,              kA, "locks and once-only initialisers of libraries"},
    SyscallRule{SCMP_SYS(getrandom),       kAny, kAny,              kA, "hash seeds"},
    SyscallRule{SCMP_SYS(clock_gettime),   kAny, kAny,              kA, "today's date, for rules that expire"},
});
// clang-format on

constexpr auto kTable = of_this_architecture<kRows>();

static_assert(every_row_has_a_reason(kTable));

}  // namespace

std::span<const SyscallRule> compiler_syscalls() {
    return kTable;
}

}  // namespace sallyport::sandbox
