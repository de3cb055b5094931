#include "policy/tool/analyse/shared.hpp"

#include <algorithm>
#include <set>

#include "policy/budget.hpp"
#include "policy/tool/analyse/cells.hpp"

namespace sallyport::policy::analyse {

namespace {

bool has_budget(const Rule& rule) {
    return rule.effect == Effect::kAllow && rule.budget != Budget{};
}

/// Whether the host says it with the request, so that it tells rules apart before anything is done.
bool is_said(const Feature& feature) {
    switch (feature.subject) {
        case Subject::kFiles:
            return feature.name == "path" || feature.name == "mode" || feature.name == "time";
        case Subject::kFreeze:
        case Subject::kInspect:
        case Subject::kPlain:
            return feature.name == "time";
        case Subject::kShutdown:
        case Subject::kExec:
        case Subject::kAccounts:
        case Subject::kClock:
        case Subject::kProcessors:
        case Subject::kBlocks:
            return true;
    }
    check_failed();
}

/// The policy without what is not said.
Policy loosened(const Policy& policy, CommandId command) {
    Policy loose = policy;
    for (const Clause& clause : clauses_of(policy, command))
        for (const Feature& feature : features_of(subject_of(command)))
            if (feature.split != nullptr && clause.allows() && !is_said(feature) && feature.limits(clause))
                feature.loosen(loose.rules[clause.rule], clause.entry);
    return loose;
}

class Search {
public:
    explicit Search(const Policy& policy) : policy_(policy) {}

    std::vector<Shared> run() {
        if (std::ranges::none_of(policy_.rules, has_budget)) return {};
        for (const Command& row : kCommands) {
            if (!is_counted(row)) continue;
            const Policy loose = loosened(policy_, row.id);
            for_each_cell(
                {.policies = {&loose},
                 .from = {.command = row.id},
                 .until = Until::kClauses,
                 .matters = [this](const Alive& alive) { return has_pair(alive); }},
                [this](const Request& request, const Alive& alive) { return look(request, alive), true; });
        }
        return std::move(found_);
    }

private:
    [[nodiscard]] bool has_pair(const Alive& alive) const {
        for (const Clause* one : alive)
            if (has_budget(policy_.rules[one->rule]))
                for (const Clause* other : alive)
                    if (other->allows() && other->rule != one->rule) return true;
        return false;
    }

    void look(const Request& request, const Alive& alive) {
        if (std::ranges::any_of(alive, [](const Clause* clause) { return !clause->allows(); })) return;
        for (const Clause* one : alive) {
            if (!has_budget(policy_.rules[one->rule])) continue;
            for (const Clause* other : alive)
                if (other->rule != one->rule && seen_.insert(std::minmax(one->rule, other->rule)).second)
                    found_.push_back({.rule = one->rule, .other = other->rule, .request = request});
        }
    }

    const Policy& policy_;
    std::set<std::pair<std::size_t, std::size_t>> seen_;
    std::vector<Shared> found_;
};

}  // namespace

std::vector<Shared> shared_budgets(const Policy& policy) {
    return Search(policy).run();
}

}  // namespace sallyport::policy::analyse
