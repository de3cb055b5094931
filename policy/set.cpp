// The decision about what a host sets: the clock, processors, memory blocks.
// Runs in:  broker, launcher and setter; the policy tool
// Input:    numbers of a host; in the launcher, of a broker that may have been taken over
#include "policy/set.hpp"
#include "base/clock.hpp"

#include <algorithm>

namespace sallyport::policy {

namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kLatestSeconds = kSettableEndNs / kNsPerSecond;

using ipc::SetOrder;
using ipc::SetRule;

bool covers(const SetRule::Spans& spans, std::uint64_t number) {
    return spans.any() || std::ranges::any_of(spans.span(), [&](const SetRule::Spans::Span& one) {
               return number >= one.least() && number <= one.most();
           });
}

bool covers(const SetRule::Processors& by, const SetOrder::Processors& want) {
    return std::ranges::all_of(want.item(), [&](const SetOrder::Processor& one) {
        return by.cpus().any() || (one.id() >= 0 && covers(by.cpus(), static_cast<std::uint64_t>(one.id())));
    });
}

bool covers(const SetRule::Spans& by, const SetOrder::Blocks& want) {
    return std::ranges::all_of(want.item(),
                               [&](const SetOrder::Block& one) { return covers(by, one.index()); });
}

SetMiss miss_of(const SetRule& by, const SetOrder& order, const Clocks& now) {
    const bool is_bound = (by.has_time() && order.has_time()) ||
                          (by.has_vcpus() && order.has_vcpus() && covers(by.vcpus(), order.vcpus())) ||
                          (by.has_blocks() && order.has_blocks() && covers(by.blocks(), order.blocks()));
    if (!is_bound) return SetMiss::kBounds;
    if (!ipc::is_time(by.times(), {now.latest, now.wall_ns / kNsPerSecond})) return SetMiss::kTime;
    const bool is_far =
        order.has_time() && order.time().has_to_ns() && !is_step_within(by.time(), order.time().to_ns(), now);
    return is_far ? SetMiss::kStep : SetMiss::kNothing;
}

bool says_less(const SetRule& one, const SetRule& other) {
    if (one.has_time())
        return !other.time().any() && (one.time().any() || one.time().max_ms() > other.time().max_ms());
    return one.has_vcpus() && one.vcpus().min_online() < other.vcpus().min_online();
}

Status check_spans(const SetRule::Spans& spans) {
    if (spans.any() != spans.span().empty())
        return failure(Errc::kInvalid, "policy: numbers that are none, or any and some");
    if (static_cast<std::size_t>(spans.span_size()) > kMaxSpans)
        return failure(Errc::kInvalid, "policy: too many numbers");
    for (int at = 0; at < spans.span_size(); ++at) {
        const SetRule::Spans::Span& one = spans.span(at);
        const bool is_apart = at == 0 || spans.span(at - 1).most() < one.least();
        if (one.least() > one.most() || !is_apart)
            return failure(Errc::kInvalid, "policy: numbers not ascending");
    }
    return {};
}

CommandId command_of(const SetRule& rule) {
    if (rule.has_vcpus()) return CommandId::kSetVcpus;
    return rule.has_blocks() ? CommandId::kSetMemoryBlocks : CommandId::kSetTime;
}

}  // namespace

SetRules set_rules(const Policy& policy) {
    SetRules all;
    for (const Rule& rule : policy.rules)
        for (const SetRule& one : rule.sets) {
            const auto times = times_of(policy, rule, command_of(one));
            if (!times) continue;
            SetRule& to = *all.Add();
            to = one;
            to.set_rule(rule.id);
            *to.mutable_times() = *times;
        }
    return all;
}

bool is_step_within(const SetRule::Step& by, std::int64_t to_ns, const Clocks& now) {
    if (to_ns < 0 || to_ns >= kSettableEndNs) return false;
    if (by.any()) return true;
    const std::int64_t most = std::int64_t{by.max_ms()} * kNsPerMs;
    const std::int64_t wall = std::clamp<std::int64_t>(now.wall_ns, 0, kSettableEndNs);
    const std::int64_t latest = std::clamp<WallTime>(now.latest, 0, kLatestSeconds) * kNsPerSecond;
    return to_ns <= wall + most && to_ns >= std::max(wall, latest) - most;
}

SetDecision decide_set(const SetRules& rules, const SetOrder& order, const Clocks& now) {
    SetDecision decision;
    for (int at = 0; at < rules.size(); ++at) {
        const SetMiss miss = miss_of(rules[at], order, now);
        decision.miss = std::max(decision.miss, miss);
        if (miss == SetMiss::kNothing && (decision.at < 0 || says_less(rules[at], rules[decision.at])))
            decision.at = at;
    }
    return decision;
}

Status check_set_rule(const SetRule& from) {
    switch (from.what_case()) {
        case SetRule::kTime:
            if (from.time().any() == (from.time().max_ms() != 0))
                return failure(Errc::kInvalid, "policy: bad step");
            break;
        case SetRule::kVcpus:
            if (from.vcpus().min_online() == 0)
                return failure(Errc::kInvalid, "policy: no processor stays online");
            TRY(check_spans(from.vcpus().cpus()));
            break;
        case SetRule::kBlocks:
            TRY(check_spans(from.blocks()));
            break;
        case SetRule::WHAT_NOT_SET:
            return failure(Errc::kInvalid, "policy: nothing to be set");
    }
    const bool has_own = !from.rule().empty() || from.has_times();
    return has_own ? failure(Errc::kInvalid, "policy: bounds with terms of their rule") : Status();
}

}  // namespace sallyport::policy
