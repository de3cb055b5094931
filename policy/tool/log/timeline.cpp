#include <algorithm>
#include <array>
#include <numeric>

#include "policy/tool/log/tally.hpp"

namespace sallyport::policy::log {

namespace {

constexpr std::size_t kMostBuckets = 4096;
constexpr std::uint64_t kRare = 100;  // one line in so many may be left out

// Widths that people count time by, in seconds. Each divides the next.
constexpr std::array<WallTime, 14> kWidths{1,    2,    10,    30,    60,    300,   900,
                                           1800, 3600, 10800, 21600, 43200, 86400, 604800};

/// The next one; beyond the last each is the double of the one before.
WallTime wider_than(WallTime width) {
    const auto next = std::ranges::upper_bound(kWidths, width);
    return next == kWidths.end() ? width * 2 : *next;
}

WallTime floor_of(WallTime time, WallTime width) {
    return time / width - (time % width < 0 ? 1 : 0);
}

std::uint64_t sum_of(const Counts& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

void add_to(Counts& to, const Counts& more) {
    for (std::size_t at = 0; at < to.size(); ++at) to[at] += more[at];
}

using Buckets = std::map<WallTime, Counts>;

/// From where to where nearly everything lies: what is beyond a gap longer than all the rest, and rare, is left out.
std::pair<WallTime, WallTime> range_of(const Buckets& buckets) {
    std::uint64_t all = 0;
    for (const auto& [number, counts] : buckets) all += sum_of(counts);
    auto begin = buckets.begin();
    auto end = std::prev(buckets.end());
    std::uint64_t before = 0;
    for (auto at = buckets.begin(); std::next(at) != buckets.end(); ++at) {
        before += sum_of(at->second);
        const WallTime gap = std::next(at)->first - at->first;
        if (gap <= 2 * (end->first - std::next(at)->first + 1) + (at->first - begin->first) &&
            gap <= 2 * (at->first - begin->first + 1) + (end->first - std::next(at)->first))
            continue;
        if (before <= all / kRare)
            begin = std::next(at);
        else if (all - before <= all / kRare) {
            end = at;
            break;
        }
    }
    return {begin->first, end->first};
}

}  // namespace

void Timeline::fold() {
    Buckets folded;
    const WallTime wider = wider_than(width_);
    for (const auto& [number, counts] : buckets_) add_to(folded[floor_of(number, wider / width_)], counts);
    buckets_ = std::move(folded);
    width_ = wider;
}

void Timeline::add(WallTime time, std::size_t verdict) {
    const WallTime number = floor_of(time, width_);
    if (last_ == nullptr || number != last_number_) {
        while (buckets_.size() >= kMostBuckets) fold();
        last_number_ = floor_of(time, width_);
        last_ = &buckets_[last_number_];
    }
    ++(*last_)[verdict];
}

std::vector<Timeline::Span> Timeline::spans(std::size_t most) const {
    if (buckets_.empty()) return {};
    const auto [begin, end] = range_of(buckets_);
    WallTime width = width_;
    const auto count_of = [&](WallTime wide) {
        return floor_of(end, wide / width_) - floor_of(begin, wide / width_) + 1;
    };
    while (count_of(width) > static_cast<WallTime>(most)) width = wider_than(width);
    const WallTime first = floor_of(begin, width / width_);
    std::vector<Span> spans(static_cast<std::size_t>(count_of(width)));
    for (std::size_t at = 0; at < spans.size(); ++at)
        spans[at].begin = (first + static_cast<WallTime>(at)) * width;
    for (const auto& [number, counts] : buckets_)
        if (number >= begin && number <= end)
            add_to(spans[static_cast<std::size_t>(floor_of(number, width / width_) - first)].counts, counts);
    return spans;
}

WallTime Timeline::width(const std::vector<Span>& spans) const {
    return spans.size() < 2 ? width_ : spans[1].begin - spans[0].begin;
}

std::uint64_t Timeline::left_out(const std::vector<Span>& spans) const {
    std::uint64_t count = 0;
    for (const auto& [number, counts] : buckets_) count += sum_of(counts);
    for (const Span& span : spans) count -= sum_of(span.counts);
    return count;
}

}  // namespace sallyport::policy::log
