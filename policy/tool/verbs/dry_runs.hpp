// What verbs say of rules that only dry-run.
// Runs in:  the policy tool
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policy/decide.hpp"
#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/log/tally.hpp"

namespace sallyport::policy::cli {

/// What a policy decides with its dry runs, if that is not what it decides.
struct Trial {
    bool is_allowed = false;
    std::string rule;
    std::string where;
    std::optional<WallTime> until;  // if the rule is one of those that dry-run
};
std::optional<Trial> trial_of(const Policy& policy, const analyse::Request& request);

/// "would be refused by 'no-keys' (p.toml:4), which dry-runs until 2030-01-31T00:00:00Z"; a line, and empty if there is nothing to say.
std::string in_words(const std::optional<Trial>& trial);

/// What logs say of dry runs, for a report; empty if they say nothing.
std::string dry_runs_in_words(const log::Tally& tally);
std::string dry_runs_in_json(const log::Tally& tally);

/// Of the dry runs of a policy, those that would have changed nothing of a log.
std::vector<const Rule*> idle_dry_runs(const Policy& policy, const log::Tally& tally);

}  // namespace sallyport::policy::cli
