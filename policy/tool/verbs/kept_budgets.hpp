// What is left of budgets, as the agent's recorder keeps it in the state directory. Nobody asks the agent.
// Runs in:  the policy tool
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/budget.hpp"

namespace sallyport::policy::cli {

struct LeftBudget {
    std::string rule;
    std::string_view key;  // "rate" or "bytes"
    Flow flow;
    std::uint64_t left = 0;
};

/// What is left now; nothing if that is not known: no agent with budgets has run since the guest booted, or the file cannot be read.
std::optional<std::vector<LeftBudget>> budgets_left(const std::string& state_directory);

/// "4/h burst 2", "1GiB/day".
std::string flow_text(const LeftBudget& budget);

}  // namespace sallyport::policy::cli
