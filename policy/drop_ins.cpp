// Runs in:  starter; the policy tool
#include "policy/drop_ins.hpp"

#include <algorithm>
#include <array>
#include <iterator>

#include "policy/exec.hpp"

namespace sallyport::policy {

namespace {

// Programs of the admin's choice: what they need nobody here knows.
bool starts_programs(const Policy& policy) {
    return !exec_templates(policy).empty() || std::ranges::any_of(freeze_rules(policy), [&](std::size_t at) {
        return !policy.rules[at].hooks.empty();
    });
}

bool sets_clock(const Policy& policy) {
    return reach_of(policy).commands.has(CommandId::kSetTime);
}

bool sets_passwords(const Policy& policy) {
    return reach_of(policy).commands.has(CommandId::kSetUserPassword);
}

// PAM asks the kernel's audit, which answers in the guest's own network alone.
bool needs_network(const Policy& policy) {
    const CommandSet commands = reach_of(policy).commands;
    return commands.has(CommandId::kNetworkGetInterfaces) || commands.has(CommandId::kNetworkGetRoute) ||
           sets_passwords(policy) || starts_programs(policy);
}

// Where systemd runs, the kernel itself is asked only if a rule says so.
bool asks_kernel(const Policy& policy) {
    const auto is_kernel = [](const Rule& rule) {
        return rule.effect == Effect::kAllow && rule.method == Method::kKernel;
    };
    return std::ranges::any_of(policy.rules, is_kernel);
}

// Files, mounts, devices, processes as the guest has them. Without it are the power commands, and what the worker answers by itself.
bool needs_system(const Policy& policy) {
    CommandSet commands = reach_of(policy).commands;
    for (const Command& row : kCommands)
        if (row.answered_by == AnsweredBy::kWorker || row.group == Group::kPower) commands.remove(row.id);
    return !commands.is_empty();
}

// clang-format off
constexpr std::array kDropIns{
    //     as installed                                 sets                        where
    DropIn{"/usr/share/sallyport/unit/clock.conf", "SALLYPORT_UNIT_CLOCK", sets_clock},
    DropIn{"/usr/share/sallyport/unit/kernel.conf", "SALLYPORT_UNIT_KERNEL", asks_kernel},
    DropIn{"/usr/share/sallyport/unit/network.conf", "SALLYPORT_UNIT_NETWORK", needs_network},
    DropIn{"/usr/share/sallyport/unit/passwords.conf", "SALLYPORT_UNIT_PASSWORDS", sets_passwords},
    DropIn{"/usr/share/sallyport/unit/programs.conf", "SALLYPORT_UNIT_PROGRAMS", starts_programs},
    DropIn{"/usr/share/sallyport/unit/system.conf", "SALLYPORT_UNIT_SYSTEM", needs_system},
};
// clang-format on

}  // namespace

std::vector<DropIn> drop_ins_of(const Policy& policy) {
    std::vector<DropIn> needed;
    std::ranges::copy_if(kDropIns, std::back_inserter(needed),
                         [&](const DropIn& one) { return one.is_needed(policy); });
    return needed;
}

}  // namespace sallyport::policy
