// Why a request is answered as it is, and what would have to change.
// Runs in:  the policy tool
#pragma once

#include <optional>
#include <vector>

#include "policy/tool/analyse/clause.hpp"
#include "policy/tool/analyse/decider.hpp"
#include "policy/tool/analyse/feature.hpp"

namespace sallyport::policy::analyse {

/// A clause, and what of the request it does not take.
struct Miss {
    Clause clause;
    std::vector<const Feature*> missed;
};

/// The least that would have to change for the request to be allowed: deny rules that are in the way, and limits of one allow rule.
struct Remedy {
    std::vector<Clause> denials;
    std::optional<Miss> limits;
};

struct Explanation {
    Outcome outcome;
    std::vector<Miss> near;        // allow clauses that fail by one feature alone
    std::optional<Remedy> remedy;  // of a refusal; nothing if only a rule of its own would allow it
};

/// `policy` must outlive what is found.
Explanation explain(const Policy& policy, const Request& request);

/// `policy` without what the remedy takes away.
Policy apply(const Policy& policy, const Remedy& remedy);

}  // namespace sallyport::policy::analyse
