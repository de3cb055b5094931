#include "policy/tool/analyse/clause.hpp"

#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/analyse/orders.hpp"

namespace sallyport::policy::analyse {

namespace {

std::uint64_t limits_of(const Clause& clause, std::span<const Feature> features) {
    std::uint64_t limits = 0;
    for (std::size_t at = 0; at < features.size(); ++at)
        if (features[at].split != nullptr && features[at].limits(clause)) limits |= std::uint64_t{1} << at;
    return limits;
}

void add_entries(const Clause& of_rule, Subject subject, std::vector<Clause>& to) {
    const Rule& rule = *of_rule.of;
    Clause clause = of_rule;
    if (subject == Subject::kFiles) {
        for (std::size_t entry = 0; entry < rule.files.size(); ++entry) {
            clause.entry = entry;
            clause.file = &rule.files[entry];
            to.push_back(clause);
        }
    }
    if (subject == Subject::kExec) {
        for (std::size_t entry = 0; entry < rule.exec.size(); ++entry) {
            clause.entry = entry;
            clause.exec = &rule.exec[entry];
            to.push_back(clause);
        }
    }
}

/// A deny rule with files is about opening them, one with modes about guest-shutdown in them; else about the whole command.
bool is_of_whole(const Rule& rule, Subject subject) {
    if (rule.effect == Effect::kAllow) return subject != Subject::kFiles && subject != Subject::kExec;
    return rule.files.empty() && rule.exec.empty() && (rule.modes.none() || subject == Subject::kShutdown);
}

}  // namespace

std::vector<Clause> clauses_of(const Policy& policy, CommandId command, std::size_t side) {
    const Subject subject = subject_of(command);
    const bool is_floor = floor_commands().has(command);
    std::vector<Clause> clauses;
    for (std::size_t at = 0; at < policy.rules.size(); ++at) {
        const Rule& rule = policy.rules[at];
        if (!rule.commands.has(command) || (is_floor && rule.effect == Effect::kDeny)) continue;
        Clause clause{.side = side, .rule = at, .of = &rule};
        clause.command = command;
        if (subject == Subject::kAccounts && rule.accounts) clause.account = &*rule.accounts;
        clause.set = set_rule_of(rule, command);
        if (is_of_whole(rule, subject))
            clauses.push_back(clause);
        else
            add_entries(clause, subject, clauses);
    }
    for (Clause& clause : clauses) clause.limits = limits_of(clause, features_of(subject));
    return clauses;
}

}  // namespace sallyport::policy::analyse
