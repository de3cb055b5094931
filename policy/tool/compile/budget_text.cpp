#include "policy/tool/compile/budget_text.hpp"

#include <algorithm>

#include "base/clock.hpp"
#include "policy/tool/compile/units.hpp"

namespace sallyport::policy::compile {

namespace {

std::string word_of(std::int64_t ns) {
    const auto found = std::ranges::find(kBudgetSpans, ns / kNsPerMs, &BudgetSpan::ms);
    return found == kBudgetSpans.end() ? std::to_string(ns) + "ns" : std::string(found->word);
}

}  // namespace

Flow flow_of(std::uint64_t amount, std::uint64_t burst, std::uint32_t ms) {
    return {.amount = amount, .burst = burst, .per_ns = ms * kNsPerMs};
}

std::string rate_text(const Flow& flow) {
    const std::string text = std::to_string(flow.amount) + "/" + word_of(flow.per_ns);
    return flow.burst == flow.amount ? text : text + std::string(kBurst) + std::to_string(flow.burst);
}

std::string bytes_text(const Flow& flow) {
    return size_text(flow.amount) + "/" + word_of(flow.per_ns);
}

std::string budget_text(const Budget& budget) {
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
    if (budget.rate.amount != 0) add("rate " + rate_text(budget.rate));
    if (budget.bytes.amount != 0) add("bytes " + bytes_text(budget.bytes));
    if (budget.concurrent != 0) add("at most " + std::to_string(budget.concurrent) + " files open");
    return text;
}

}  // namespace sallyport::policy::compile
