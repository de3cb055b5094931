// From a table to an installed seccomp filter.
// Runs in:  every process, as the last step of its lockdown
// Relies on: libseccomp
#include "sandbox/syscalls.hpp"

#include <seccomp.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "sandbox/tables.hpp"

namespace sallyport::sandbox {

namespace {

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

struct Attribute {
    scmp_filter_attr name;
    std::uint32_t value;
};

constexpr std::array kAttributes{
    // THREAT: a call by the numbers of another architecture (int 0x80, x32) is looked up in no table.
    Attribute{SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
    Attribute{SCMP_FLTATR_CTL_NNP, 0},  // set by a step of its own, without which the filter cannot be loaded
    Attribute{SCMP_FLTATR_CTL_TSYNC, 1},     // a thread that a library left behind gets the filter too
    Attribute{SCMP_FLTATR_CTL_OPTIMIZE, 2},  // binary tree
};

// libseccomp answers with the negative error number.
Status checked(int answer, const char* what) {
    if (answer == 0) return {};
    return std::unexpected(Error{Errc::kSystem, what, -answer});
}

Status add_row(const Filter& filter, const SyscallRule& rule) {
    std::array<scmp_arg_cmp, 2> conditions{};
    unsigned count = 0;
    for (const ArgIs& one : {rule.first, rule.second})
        if (one.mask != 0)
            conditions[count++] = SCMP_CMP64(one.index, SCMP_CMP_MASKED_EQ, one.mask, one.value);
    return checked(seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, rule.call, count, conditions.data()),
                   "seccomp_rule_add");
}

}  // namespace

std::span<const SyscallRule> syscall_table(Process process) {
    const std::array in_order{broker_syscalls(),   nursery_syscalls(), worker_syscalls(),
                              compiler_syscalls(), guard_syscalls(),   inspector_syscalls(),
                              recorder_syscalls(), files_syscalls()};
    return in_order[static_cast<std::size_t>(process)];
}

bool is_needed(When when, const Needs& needs) {
    switch (when) {
        case When::kAlways:
            return true;
        case When::kListens:
            return needs.listens;
        case When::kAsksFiles:
            return needs.asks_files;
        case When::kFreezes:
            return needs.freezes;
        case When::kWritesFiles:
            return needs.writes_files;
        case When::kCreatesFiles:
            return needs.creates_files;
        case When::kNetlink:
            return needs.asks_netlink;
        case When::kForks:
            return needs.forks;
    }
    return false;
}

std::size_t count_syscalls(Process process, const Needs& needs) {
    std::vector<int> calls;
    for (const SyscallRule& rule : syscall_table(process))
        if (is_needed(rule.when, needs) && std::ranges::find(calls, rule.call) == calls.end())
            calls.push_back(rule.call);
    return calls.size();
}

Status install_filter(Process process, const Needs& needs) {
    const Filter filter(seccomp_init(SCMP_ACT_KILL_PROCESS), seccomp_release);
    if (!filter) return failure(Errc::kSystem, "seccomp_init");
    for (const auto& [name, value] : kAttributes)
        if (const auto set = checked(seccomp_attr_set(filter.get(), name, value), "seccomp_attr_set"); !set)
            return set;
    for (const SyscallRule& rule : syscall_table(process)) {
        if (!is_needed(rule.when, needs)) continue;
        if (const auto added = add_row(filter, rule); !added) return added;
    }
    // Its answer is always ECANCELED; errno says why.
    if (seccomp_load(filter.get()) != 0) return system_error("seccomp_load");
    return {};
}

}  // namespace sallyport::sandbox
