#include "policy/tool/verbs/dry_runs.hpp"

#include <algorithm>
#include <vector>

#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/policies.hpp"

namespace sallyport::policy::cli {

std::optional<Trial> trial_of(const Policy& policy, const analyse::Request& request) {
    if (policy.dry_runs.empty()) return std::nullopt;
    const Policy tried = with_dry_runs(policy);
    const analyse::Outcome outcome = analyse::Decider(tried).decide(request);
    const bool is_real = analyse::Decider(policy).decide(request).is_allowed();
    if (outcome.is_allowed() == is_real) return std::nullopt;
    Trial trial{.is_allowed = outcome.is_allowed(), .rule = {}, .where = {}, .until = {}};
    if (outcome.rule == kNoRule) return trial;
    const Rule& rule = tried.rules[outcome.rule];
    trial.rule = rule.id;
    trial.where = rule.where;
    if (outcome.rule >= policy.rules.size()) trial.until = rule.expires;
    return trial;
}

std::string in_words(const std::optional<Trial>& trial) {
    if (!trial) return {};
    std::string text = std::string("would be ") + (trial->is_allowed ? "allowed" : "refused");
    if (!trial->rule.empty()) text += " by '" + trial->rule + "' (" + compile::printable(trial->where) + ")";
    if (trial->until) text += ", which dry-runs until " + analyse::show_time(*trial->until);
    return text + "\n";
}

std::string dry_runs_in_words(const log::Tally& tally) {
    std::string text;
    for (const auto& [id, tried] : tally.tried)
        text += "  " + compile::quoted(id) + " would have refused " + std::to_string(tried.refused) +
                " and allowed " + std::to_string(tried.allowed) + ", last " + analyse::show_time(tried.last) +
                "\n";
    return text;
}

std::string dry_runs_in_json(const log::Tally& tally) {
    std::vector<std::string> objects;
    for (const auto& [id, tried] : tally.tried)
        objects.push_back(JsonObject()
                              .add("rule", id)
                              .add("would_refuse", tried.refused)
                              .add("would_allow", tried.allowed)
                              .add("last", analyse::show_time(tried.last))
                              .text());
    return json_list(objects);
}

std::vector<const Rule*> idle_dry_runs(const Policy& policy, const log::Tally& tally) {
    std::vector<const Rule*> idle;
    for (const Rule& rule : policy.dry_runs)
        if (!tally.tried.contains(rule.id)) idle.push_back(&rule);
    return idle;
}

}  // namespace sallyport::policy::cli
