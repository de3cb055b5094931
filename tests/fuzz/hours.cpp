// Rules with hours, a few minutes of each week, around the time at which a run begins; and what they allow, reckoned otherwise than
// by the broker.
#include "tests/fuzz/hours.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "tests/fuzz/played_time.hpp"

namespace sallyport::fuzz {

namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kWeek = 7 * std::int64_t{86'400};
constexpr std::int64_t kThursday = 3 * std::int64_t{86'400};  // 1970 began on one

using Window = std::pair<std::int64_t, std::int64_t>;  // seconds from the beginning

// By the zone's clocks: [60, 160) and [260, 360). At 300 they are set back by a minute.
constexpr Window kByTheClocks[] = {{60, 160}, {260, 360}};
constexpr std::int64_t kSwitch = 300;
constexpr std::int32_t kBack = -60;
// The same in seconds that pass.
constexpr Window kAsTheyPass[] = {{60, 160}, {260, 300}, {320, 420}};
constexpr Window kDenied[] = {{100, 200}};

struct Hours {
    std::int64_t begin = 0;  // what the windows are counted from
    ClockReading start;
    std::int64_t latest = 0;
};

std::optional<Hours>& hours() {
    static std::optional<Hours> all;
    return all;
}

void add_span(ipc::When& when, std::int64_t from, std::int64_t to) {
    ipc::When::Span& span = *when.add_spans();
    span.set_from(static_cast<std::uint32_t>(from));
    span.set_to(static_cast<std::uint32_t>(to));
}

// In seconds of the week; what goes over its end is in two parts.
ipc::When when_of(std::span<const Window> windows, std::int64_t begin) {
    std::vector<Window> spans;
    for (const auto& [from, to] : windows) {
        const std::int64_t first = (begin + from + kThursday) % kWeek;
        const std::int64_t end = first + (to - from);
        spans.emplace_back(first, std::min(end, kWeek));
        if (end > kWeek) spans.emplace_back(0, end - kWeek);
    }
    std::ranges::sort(spans);
    ipc::When when;
    for (const auto& [from, to] : spans) add_span(when, from, to);
    when.add_offsets(0);
    when.set_text("played");
    return when;
}

bool is_in(std::span<const Window> windows, std::int64_t second) {
    return std::ranges::any_of(
        windows, [second](const Window& one) { return second >= one.first && second < one.second; });
}

bool may_be_asked_at(CommandId command, std::int64_t now) {
    const std::int64_t second = now - hours()->begin;
    if (command == CommandId::kGetHostName) return is_in(kAsTheyPass, second);
    if (command == CommandId::kGetUsers) return !is_in(kDenied, second);
    return true;
}

policy::Rule& add_rule(policy::Policy& policy, const char* id, policy::Effect effect, ipc::When when) {
    policy::Rule& rule = policy.rules.emplace_back();
    rule.id = id;
    rule.effect = effect;
    rule.when = std::move(when);
    return rule;
}

}  // namespace

void forget_hours() {
    hours().reset();
}

void add_hours(policy::Policy& policy, std::int64_t shift) {
    const ClockReading start = read_clocks();
    hours().emplace(Hours{.begin = start.wall + shift, .start = start, .latest = start.wall});
    for (policy::Rule& rule : policy.rules) rule.commands.remove(CommandId::kGetHostName);
    ipc::When open = when_of(kByTheClocks, hours()->begin);
    open.add_switches(hours()->begin + kSwitch);
    open.add_offsets(kBack);
    const ipc::When closed = when_of(kDenied, hours()->begin);
    add_rule(policy, "hours", policy::Effect::kAllow, open).commands.add(CommandId::kGetHostName);
    // Every other time it is so with all that is about files.
    for (policy::Rule& rule : policy.rules)
        if (rule.id == "work" && shift % 2 != 0) rule.when = open;
    policy::Rule& deny = add_rule(policy, "no-hours", policy::Effect::kDeny, closed);
    for (const CommandId command : {CommandId::kGetUsers, CommandId::kFsfreezeFreeze, CommandId::kSuspendRam})
        deny.commands.add(command);
    policy::Rule& closed_file = add_rule(policy, "no-file", policy::Effect::kDeny, closed);
    closed_file.commands.add(CommandId::kFileOpen);
    closed_file.files.emplace_back().under = "/work/c";
}

bool may_be_asked(CommandId command) {
    if (!hours()) return true;
    const ClockReading now = read_clocks();
    const std::int64_t passed =
        hours()->start.wall + (now.boottime_ns - hours()->start.boottime_ns) / kNsPerSecond;
    hours()->latest = std::max({hours()->latest, now.wall, passed});
    // The broker may have looked just before the wall clock went on.
    for (const std::int64_t time : {now.wall, passed, hours()->latest})
        if (may_be_asked_at(command, time) || may_be_asked_at(command, time - 1)) return true;
    return false;
}

void move_clock(std::size_t which) {
    constexpr std::int64_t kSteps[] = {10, 40, 1, 100, -1, -40, -100, -300};
    constexpr std::int64_t kFarthest = 1100;
    const std::int64_t wanted = wall_offset() + kSteps[which % std::size(kSteps)];
    set_wall_offset(std::clamp(wanted, std::int64_t{0}, kFarthest));
    if (hours()) hours()->latest = std::max(hours()->latest, read_clocks().wall);
}

}  // namespace sallyport::fuzz
