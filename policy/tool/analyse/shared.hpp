// Rules that share what one of them has a budget for: then it would not be clear whose budget a request takes from.
// Runs in:  the policy tool
#pragma once

#include <vector>

#include "policy/tool/analyse/request.hpp"

namespace sallyport::policy::analyse {

/// A request that both rules allow, and of which the first has a budget.
struct Shared {
    std::size_t rule = kNoRule;
    std::size_t other = kNoRule;
    Request request;
};

/// One for each pair of rules. What only the guest itself knows of a file (whose it is, how large) tells no rules apart.
std::vector<Shared> shared_budgets(const Policy& policy);

}  // namespace sallyport::policy::analyse
