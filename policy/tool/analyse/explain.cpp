#include "policy/tool/analyse/explain.hpp"

#include <algorithm>
#include <set>

namespace sallyport::policy::analyse {

namespace {

Miss miss_of(const Clause& clause, const Request& request) {
    Miss miss{.clause = clause, .missed = {}};
    for (const Feature& feature : features_of(subject_of(request.command)))
        if (feature.split != nullptr && !feature.meets(clause, request)) miss.missed.push_back(&feature);
    return miss;
}

/// The first remedy, beginning with the fewest changes, by which the request is really allowed.
std::optional<Remedy> remedy_for(const Policy& policy, const Request& request, std::vector<Miss> allows,
                                 std::vector<Clause> denials) {
    if (allows.empty()) return std::nullopt;
    std::ranges::stable_sort(allows, {}, [](const Miss& miss) { return miss.missed.size(); });
    for (const Miss& miss : allows) {
        Remedy remedy{.denials = denials, .limits = std::nullopt};
        if (!miss.missed.empty()) remedy.limits = miss;
        const Policy changed = apply(policy, remedy);
        if (Decider(changed).decide(request).is_allowed()) return remedy;
    }
    return std::nullopt;
}

}  // namespace

Policy apply(const Policy& policy, const Remedy& remedy) {
    Policy changed = policy;
    if (remedy.limits)
        for (const Feature* feature : remedy.limits->missed)
            feature->loosen(changed.rules[remedy.limits->clause.rule], remedy.limits->clause.entry);
    std::set<std::size_t, std::greater<>> rules;
    for (const Clause& clause : remedy.denials) rules.insert(clause.rule);
    for (const std::size_t rule : rules)
        changed.rules.erase(changed.rules.begin() + static_cast<std::ptrdiff_t>(rule));
    return changed;
}

Explanation explain(const Policy& policy, const Request& request) {
    Explanation explanation{.outcome = Decider(policy).decide(request)};
    std::vector<Miss> allows;
    std::vector<Clause> denials;
    for (const Clause& clause : clauses_of(policy, request.command)) {
        Miss miss = miss_of(clause, request);
        if (!clause.allows()) {
            if (miss.missed.empty()) denials.push_back(clause);
            continue;
        }
        if (miss.missed.size() == 1) explanation.near.push_back(miss);
        allows.push_back(std::move(miss));
    }
    if (!explanation.outcome.is_allowed())
        explanation.remedy = remedy_for(policy, request, std::move(allows), std::move(denials));
    return explanation;
}

}  // namespace sallyport::policy::analyse
