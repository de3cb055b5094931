#include "policy/tool/analyse/never.hpp"

#include <algorithm>

#include "ipc/limits.hpp"
#include "policy/accounts.hpp"
#include "policy/tool/analyse/cells.hpp"
#include "policy/tool/analyse/decider.hpp"

namespace sallyport::policy::analyse {

namespace {

constexpr std::size_t kRules = 0;   // the side of the policy
constexpr std::size_t kNevers = 1;  // and of what must not be possible

bool is_about_programs(const Never& never) {
    return !never.programs.empty() || !never.run_as.empty();
}

ipc::ExecTemplate program_named(const std::string& name) {
    ipc::ExecTemplate one;
    one.set_program(name);
    one.set_any_args(true);
    one.set_any_env(true);
    one.set_input(kMaxExecInput);
    return one;
}

bool has_number(const std::vector<ipc::Account>& users, std::uint32_t uid) {
    return std::ranges::find(users, uid, &ipc::Account::uid) != users.end();
}

/// All that a rule can let be done to these users, by whichever of their names a rule of the policy has.
ipc::AccountTemplate accounts_of(const std::vector<ipc::Account>& users, const Policy& policy) {
    ipc::AccountTemplate all;
    for (const ipc::Account& user : users) *all.add_accounts() = user;
    for (const Rule& rule : policy.rules) {
        if (!rule.accounts) continue;
        for (const ipc::Account& one : rule.accounts->accounts())
            if (has_number(users, one.uid()) && find_account(all, one.name()) == nullptr)
                *all.add_accounts() = one;
    }
    all.set_any_key(true);
    all.set_max_keys(kMaxKeys);
    all.set_reset(true);
    return all;
}

/// What is never to be, as a policy that matches it.
Policy matching(const std::vector<Never>& nevers, const Policy& against) {
    Policy policy;
    for (const Never& never : nevers) {
        Rule rule = never.rule;
        for (const std::string& name : never.programs) rule.exec.push_back(program_named(name));
        if (is_about_programs(never) && rule.exec.empty()) rule.exec.push_back(program_named(""));
        if (!never.users.empty()) rule.accounts = accounts_of(never.users, against);
        policy.rules.push_back(std::move(rule));
    }
    return policy;
}

bool runs_as(const Policy& policy, const Outcome& outcome, const std::vector<std::uint32_t>& users) {
    if (users.empty()) return true;
    const auto& programs = policy.rules[outcome.rule].exec;
    return outcome.entry < programs.size() &&
           std::ranges::find(users, programs[outcome.entry].uid()) != users.end();
}

}  // namespace

std::vector<Breach> breaches(const Policy& policy, const std::vector<Never>& nevers) {
    std::vector<Breach> found;
    if (nevers.empty()) return found;
    const Policy unwanted = matching(nevers, policy);
    const Decider decider(policy);
    const auto is_found = [&](std::size_t never) {
        return std::ranges::find(found, never, &Breach::never) != found.end();
    };
    const auto at = [&](const Request& request, const Alive& alive) {
        const Outcome outcome = decider.decide(request);
        if (!outcome.is_allowed() || outcome.rule == kNoRule) return true;
        for (const Clause* clause : alive)
            if (clause->side == kNevers && !is_found(clause->rule) && meets(*clause, request) &&
                runs_as(policy, outcome, nevers[clause->rule].run_as))
                found.push_back({.never = clause->rule, .rule = outcome.rule, .request = request});
        return found.size() < nevers.size();
    };
    const auto matters = [](const Alive& alive) {
        return may_allow(alive, kRules) &&
               std::ranges::any_of(alive, [](const Clause* clause) { return clause->side == kNevers; });
    };
    for (const Command& command : kCommands)
        for_each_cell({.policies = {&policy, &unwanted},
                       .from = {.command = command.id},
                       .matched = kNevers,
                       .matters = matters},
                      at);
    std::ranges::sort(found, {}, &Breach::never);
    return found;
}

}  // namespace sallyport::policy::analyse
