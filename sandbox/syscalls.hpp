// seccomp filters as data: a table of system calls per kind of process, each row with its reason.
// Runs in:  every process; the tests generate their cases from the same tables
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::sandbox {

/// A condition on one argument: (argument & mask) == value. A row may have several; all must hold.
struct ArgIs {
    unsigned index = 0;
    std::uint64_t mask = 0;  // 0: no condition
    std::uint64_t value = 0;
};

/// When a row is installed, as in Needs.
enum class When : std::uint8_t {
    kAlways,
    kListens,
    kAsksFiles,
    kFreezes,
    kWritesFiles,
    kCreatesFiles,
    kNetlink,
    kForks
};

struct SyscallRule {
    int call;
    ArgIs first;
    ArgIs second;
    When when;
    const char* reason;
};

enum class Process : std::uint8_t {
    kBroker,
    kNursery,
    kWorker,
    kCompiler,
    kGuard,
    kInspector,
    kRecorder,
    kFiles
};

/// The table of a kind of process.
std::span<const SyscallRule> syscall_table(Process process);

/// Whether a row is installed for these needs.
bool is_needed(When when, const Needs& needs);

/// How many different calls the filter lets through.
std::size_t count_syscalls(Process process, const Needs& needs);

/// Builds and installs the filter; whatever is not in it kills the process.
Status install_filter(Process process, const Needs& needs);

}  // namespace sallyport::sandbox
