#include "policy/tool/log/tally.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "policy/tool/log/request.hpp"

namespace sallyport::policy::log {

namespace {

// So many different ones are kept of each; a host, or whoever wrote a log, cannot make them more.
constexpr std::size_t kMostEvents = 128;
constexpr std::size_t kMostRules = 1024;
constexpr std::size_t kMostDenials = 256;
constexpr std::size_t kMostPolicies = 64;
constexpr std::size_t kMostFreezes = 100;
constexpr std::size_t kMostName = 64;
constexpr std::size_t kMostArguments = 2048;

/// The value of that name, if it is there or there is room for it.
template <typename Value>
Value* find_or_add(std::map<std::string, Value, std::less<>>& in, std::string_view name, std::size_t most) {
    name = name.substr(0, kMostName);
    const auto found = in.find(name);
    if (found != in.end()) return &found->second;
    return in.size() < most ? &in[std::string(name)] : nullptr;
}

}  // namespace

std::size_t verdict_of(std::string_view word) {
    const auto found = std::ranges::find(kVerdicts, word);
    return found == kVerdicts.end() ? kOther : static_cast<std::size_t>(found - kVerdicts.begin());
}

void Seen::add(std::size_t verdict, WallTime time) {
    ++counts[verdict];
    if (time == 0) return;
    first = first == 0 ? time : std::min(first, time);
    last = std::max(last, time);
}

std::uint64_t Seen::all() const {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

void Tally::take_chain(const Place& place) {
    if (chains.empty() || chains.back().chain != place.chain) {
        chain_ = {};
        finish();
        chains.push_back({.chain = place.chain,
                          .is_from_beginning = previous_of(place.text) == std::string(kHashSize, '0')});
    }
    ChainState& state = chains.back();
    ++state.lines;
    if (!chain_.take(place.text) && ++state.breaks == 1) {
        state.broken_file = place.file;
        state.broken_line = place.line;
    }
    if (!chain_.was_whole()) ++state.cut;
    state.last = chain_.last();
}

void Tally::take_damaged(const Place& place) {
    take_chain(place);
}

void Tally::finish() {
    if (!open_) return;
    ++frozen;
    keep(*std::exchange(open_, std::nullopt));
}

void Tally::take(const Record& record, const Place& place, bool counts) {
    take_chain(place);
    if (!counts) return;
    const WallTime time = seconds_of(record.time).value_or(0);
    const std::size_t verdict = verdict_of(record.verdict);
    if (time != 0) {
        first = first == 0 ? time : std::min(first, time);
        last = std::max(last, time);
    }
    const auto command = command_of(record);
    if (time != 0 && (command || verdict == kViolation)) course.add(time, verdict);
    if (command) {
        ++commands[static_cast<std::size_t>(*command)][verdict];
    } else if (Counts* event = find_or_add(events, record.what, kMostEvents)) {
        ++(*event)[verdict];
    }
    if (!record.rule.empty()) {
        Seen* rule = find_or_add(rules, record.rule, kMostRules);
        rule != nullptr ? rule->add(verdict, time) : void(++other_rules);
    }
    if (!record.policy.empty()) {
        if (Seen* policy = find_or_add(policies, record.policy, kMostPolicies)) policy->add(verdict, time);
        if (last_policy != record.policy) last_policy = record.policy.substr(0, kMostName);
    }
    if (record.what == "start") ++starts;
    if (record.bytes > 0) bytes += static_cast<std::uint64_t>(record.bytes);
    if (!record.would.empty()) take_dry_run(record, time);
    if (verdict == kRefuse || verdict == kViolation) take_refusal(record, place, time);
    take_freeze(record, time);
    take_loss(record);
}

void Tally::take_spent(const Record& record) {
    const std::string key = text_of(members_of(record.arguments), "budget").substr(0, kMostName);
    const std::string name = key + " of " + std::string(record.rule.substr(0, kMostName));
    const auto found = spent.find(name);
    if (found != spent.end() || spent.size() < kMostRules) ++spent[name];
}

void Tally::take_refusal(const Record& record, const Place& place, WallTime time) {
    if (record.reason == kSpent) take_spent(record);
    std::string key(record.what.substr(0, kMostName));
    key.append(1, '\n').append(record.arguments.substr(0, kMostArguments));
    key.append(1, '\n').append(record.rule).append(1, '\n').append(record.reason);
    auto found = denials.find(key);
    if (found == denials.end() && denials.size() >= kMostDenials) {
        const auto rarest = std::ranges::min_element(denials, {}, [](const auto& one) {
            return std::pair(one.second.seen.all(), one.second.seen.last);
        });
        other_denials += rarest->second.seen.all();
        denials.erase(rarest);
    }
    if (found == denials.end()) {
        Denial denial{.what = std::string(record.what.substr(0, kMostName)),
                      .arguments = std::string(record.arguments.substr(0, kMostArguments)),
                      .rule = std::string(record.rule.substr(0, kMostName)),
                      .reason = std::string(record.reason)};
        found = denials.emplace(std::move(key), std::move(denial)).first;
    }
    Denial& denial = found->second;
    denial.seen.add(verdict_of(record.verdict), time);
    denial.id.assign(record.run).append("-").append(std::to_string(record.seq));
    denial.file = place.file;
}

void Tally::keep(Freeze freeze) {
    const std::uint64_t length = freeze.length_us.value_or(0);
    frozen_us += length;
    longest_us = std::max(longest_us, length);
    freezes.push_back(std::move(freeze));
    if (freezes.size() <= kMostFreezes) return;
    // Of those that are not the latest half, the shortest goes.
    const auto shortest =
        std::min_element(freezes.begin(), freezes.begin() + static_cast<std::ptrdiff_t>(kMostFreezes / 2),
                         [](const Freeze& one, const Freeze& other) {
                             return one.length_us.value_or(0) < other.length_us.value_or(0);
                         });
    freezes.erase(shortest);
}

void Tally::end_freeze(const Record& record, std::string by) {
    if (!open_) return;
    Freeze freeze = *std::exchange(open_, std::nullopt);
    // After a restart of the machine the time since its boot says nothing.
    if (record.boottime_us >= freeze.begin_us) freeze.length_us = record.boottime_us - freeze.begin_us;
    freeze.end = std::move(by);
    keep(std::move(freeze));
}

void Tally::take_freeze(const Record& record, WallTime time) {
    const bool is_freeze =
        record.what == "guest-fsfreeze-freeze" || record.what == "guest-fsfreeze-freeze-list";
    if (is_freeze && record.verdict == "allow") {
        const auto count = number_of(members_of(record.arguments), "count").value_or(0);
        if (count <= 0) return;
        end_freeze(record, "another freeze");
        ++freeze_count;
        open_ = Freeze{.begin = time,
                       .length_us = {},
                       .file_systems = static_cast<std::uint64_t>(count),
                       .rule = std::string(record.rule.substr(0, kMostName)),
                       .end = {},
                       .begin_us = record.boottime_us};
    } else if (record.what == "start" && open_ && record.boottime_us < open_->begin_us) {
        end_freeze(record, "a restart of the machine");
    } else if (record.what == "thawed") {
        const std::string cause = text_of(members_of(record.arguments), "cause");
        end_freeze(record, cause == "DEADLINE" ? "its limit" : "the guard");
    } else if (record.what == "guest-fsfreeze-thaw" && record.verdict == "allow" &&
               !record.arguments.empty()) {
        end_freeze(record, "the host");
    }
}

void Tally::take_dry_run(const Record& record, WallTime time) {
    Tried* const rule = find_or_add(tried, record.would_rule, kMostRules);
    if (rule == nullptr) return;
    ++(record.would == "allow" ? rule->allowed : rule->refused);
    rule->last = std::max(rule->last, time);
}

void Tally::take_loss(const Record& record) {
    lost += record.lost;
    if (record.unwritten.empty()) return;
    for (const Member& member : members_of(record.unwritten)) {
        std::uint64_t* const count = find_or_add(unwritten, member.name, kMostEvents);
        const auto more = number_of({member}, member.name);
        if (count != nullptr && more && *more > 0) *count += static_cast<std::uint64_t>(*more);
    }
}

}  // namespace sallyport::policy::log
