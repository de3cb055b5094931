// Runs in:  broker, after lockdown(); starter; the policy tool
#include "policy/budget.hpp"

#include <algorithm>

#include "policy/decide.hpp"

namespace sallyport::policy {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::int64_t kLongest = std::int64_t{1} << 61U;  // 73 years

// a * b / c, rounded up if `round` is c - 1, and no more than kLongest.
std::uint64_t scaled(std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t round) {
    const Wide result = (Wide{a} * b + round) / c;
    return static_cast<std::uint64_t>(std::min<Wide>(result, kLongest));
}

std::int64_t time_for(const Flow& flow, std::uint64_t amount) {
    return static_cast<std::int64_t>(
        scaled(amount, static_cast<std::uint64_t>(flow.per_ns), flow.amount, flow.amount - 1));
}

}  // namespace

bool is_counted(const Command& row) {
    return row.floor == Floor::kNo && row.id != CommandId::kExecStatus &&
           (row.group != Group::kFile || row.id == CommandId::kFileOpen);
}

bool moves_bytes(CommandSet commands) {
    return commands.has(CommandId::kFileOpen) || commands.has(CommandId::kExec);
}

bool is_flow(const Flow& flow) {
    if (flow.amount == 0) return flow == Flow{};
    return flow.burst > 0 && flow.per_ns > 0 && flow.amount <= static_cast<std::uint64_t>(flow.per_ns) &&
           full_after(flow) <= kMaxFillNs;
}

std::int64_t full_after(const Flow& flow) {
    return time_for(flow, flow.burst);
}

std::uint64_t left(const Flow& flow, std::int64_t due, std::int64_t now) {
    const std::int64_t full = full_after(flow);
    const std::int64_t missing = due > now ? due - now : 0;
    if (missing >= full) return 0;
    const auto there = static_cast<std::uint64_t>(full - missing);
    return std::min(flow.burst, scaled(there, flow.amount, static_cast<std::uint64_t>(flow.per_ns), 0));
}

std::int64_t due_after(const Flow& flow, std::int64_t due, std::int64_t now, std::uint64_t amount) {
    return std::min(std::max(due, now), kLongest) + time_for(flow, amount);
}

std::vector<Bucket> buckets(const Policy& policy) {
    std::vector<Bucket> all;
    for (std::size_t at = 0; at < policy.rules.size(); ++at) {
        const Budget& budget = policy.rules[at].budget;
        if (budget.rate.amount != 0) all.push_back({.rule = at, .flow = budget.rate});
        if (budget.bytes.amount != 0)
            all.push_back({.rule = at, .of = Bucket::Of::kBytes, .flow = budget.bytes});
    }
    return all;
}

}  // namespace sallyport::policy
