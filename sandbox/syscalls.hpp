// seccomp filters as data: a table of system calls per kind of process, each row with its reason.
// Runs in:  every process; the tests generate their cases from the same tables
#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "sandbox/needs.hpp"

namespace sallyport::sandbox {

/// A condition on one argument: (argument & mask) == value. A row may have several; all must hold.
struct ArgIs {
    unsigned index = 0;
    std::uint64_t mask = 0;  // 0: no condition
    std::uint64_t value = 0;
};

/// When a row is installed: always, or for one of the Needs.
enum class When : std::uint8_t {
    kAlways,
    kListens,
    kAsksFiles,
    kFreezes,
    kWritesFiles,
    kCreatesFiles,
    kNetlink,
    kForks,
    kSetsClock,
    kSetsDevices
};

struct SyscallRule {
    int call;
    ArgIs first;
    ArgIs second;
    When when;
    const char* reason;
};

/// The table of a kind of process.
std::span<const SyscallRule> syscall_table(Process process);

/// Whether a row is installed for these needs.
bool is_needed(When when, const Needs& needs);

/// How many different calls the filter lets through.
std::size_t count_syscalls(Process process, const Needs& needs);

/// A filter that was compiled from its table. Compilation takes most of a millisecond, so a parent compiles the filter of its children
/// once, before its own lockdown, and each child installs it.
class Filter {
public:
    /// Cannot be installed.
    Filter() = default;
    /// Errors: kSystem.
    static Result<Filter> compile(Process process, const Needs& needs);

    /// The filter as a sealed file, for a program whose own filter would not let it compile one. Errors: kSystem.
    [[nodiscard]] Result<UniqueFd> to_file() const;
    /// Reads what to_file() has written. Errors: kSystem, kInvalid.
    static Result<Filter> from_file(FdRef file);

    /// Installs the filter: from now on a call that no row lets through kills this process. Errors: kSystem.
    [[nodiscard]] Status install() const;

    [[nodiscard]] std::span<const sock_filter> program() const { return program_; }

private:
    explicit Filter(std::vector<sock_filter> program) : program_(std::move(program)) {}
    std::vector<sock_filter> program_;
};

/// Compiles and installs the filter.
Status install_filter(Process process, const Needs& needs);

}  // namespace sallyport::sandbox
