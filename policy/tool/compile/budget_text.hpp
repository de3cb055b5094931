// A budget in words, as a rule says it.
// Runs in:  the policy tool
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "policy/budget.hpp"

namespace sallyport::policy::compile {

/// A time in which a budget flows back.
struct BudgetSpan {
    std::string_view word;
    std::uint32_t ms;
};
inline constexpr std::array kBudgetSpans{BudgetSpan{"s", 1000}, BudgetSpan{"min", 60'000},
                                         BudgetSpan{"h", 3'600'000}, BudgetSpan{"day", 86'400'000}};

inline constexpr std::string_view kBurst = " burst ";

Flow flow_of(std::uint64_t amount, std::uint64_t burst, std::uint32_t ms);

/// "4/h burst 2", "1GiB/day".
std::string rate_text(const Flow& flow);
std::string bytes_text(const Flow& flow);

/// "rate 4/h burst 2, bytes 1GiB/day, at most 3 files open". Empty if there is none.
std::string budget_text(const Budget& budget);

}  // namespace sallyport::policy::compile
