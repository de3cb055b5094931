// Runs in:  broker, files, launcher, setter, inspector; starter; the policy tool
#include "ipc/times.hpp"

#include <algorithm>

#include "ipc/limits.hpp"

namespace sallyport::ipc {

namespace {

constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kWeek = 7 * kDay;
constexpr std::int64_t kThursday = 3 * kDay;  // 1970 began on one; weeks begin on Monday

std::unexpected<Error> invalid(const char* what) {
    return failure(Errc::kInvalid, what);
}

bool lies_in(const When& when, std::int64_t now, Counts counts) {
    if (now < 0 || now >= kWhenEnd) return counts == Counts::kToDeny;
    const auto past = std::ranges::upper_bound(when.switches(), now) - when.switches().begin();
    const std::int64_t local = now + when.offsets(static_cast<int>(past));
    const std::int64_t second = (local + kThursday + kWeek) % kWeek;
    return std::ranges::any_of(when.spans(), [second](const When::Span& span) {
        return second >= std::int64_t{span.from()} && second < std::int64_t{span.to()};
    });
}

}  // namespace

bool is_within(const When& when, Moment now, Counts counts) {
    const bool by_latest = lies_in(when, now.latest, counts);
    const bool by_wall = lies_in(when, now.wall, counts);
    return counts == Counts::kToAllow ? by_latest && by_wall : by_latest || by_wall;
}

bool is_live(const LiveTime& rule, Moment now, Counts counts) {
    return (!rule.has_expires() || now.latest < rule.expires()) &&
           (!rule.has_when() || is_within(rule.when(), now, counts));
}

bool is_time(const Times& times, Moment now) {
    return is_live(times.own(), now, Counts::kToAllow) &&
           std::ranges::none_of(times.denied(),
                                [now](const LiveTime& rule) { return is_live(rule, now, Counts::kToDeny); });
}

Status check(const When& when) {
    if (when.spans().empty()) return invalid("policy: hours that are none");
    std::uint32_t end = 0;
    for (const When::Span& span : when.spans()) {
        if (span.from() < end || span.to() <= span.from() || span.to() > kWeek)
            return invalid("policy: hours not ascending");
        end = span.to();
    }
    if (static_cast<std::size_t>(when.switches_size()) > kMaxSwitches ||
        when.offsets_size() != when.switches_size() + 1)
        return invalid("policy: bad time zone");
    if (std::ranges::adjacent_find(when.switches(), std::ranges::greater_equal{}) != when.switches().end())
        return invalid("policy: a time zone's switches not ascending");
    const auto is_far = [](std::int32_t offset) { return offset < -2 * kDay || offset > 2 * kDay; };
    if (std::ranges::any_of(when.offsets(), is_far)) return invalid("policy: bad time zone");
    return {};
}

}  // namespace sallyport::ipc
