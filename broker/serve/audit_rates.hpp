// How often things may be written down, so that nobody can drown the log.
// Runs in:  broker
// Input:    events that a host, a stranger or a taken-over worker causes as often as it likes
#pragma once

#include <cstdint>
#include <map>
#include <string_view>

namespace sallyport::broker {

/// So many at once, and one more after each interval.
struct Rate {
    std::int64_t burst = 0;
    std::int64_t interval_ns = 0;
};

/// A token bucket, full at first.
class Bucket {
public:
    /// Takes a token, if there is one. `now_ns` is CLOCK_BOOTTIME.
    bool take(const Rate& rate, std::int64_t now_ns);

private:
    std::int64_t full_ns_ = 0;  // at that time all tokens would be there again
};

/// Which of the rates an event has.
enum class Frequency : std::uint8_t {
    kAlways,      // is always written
    kRefusal,     // refused, failed, given up, a worker that breaks its contract; nothing was changed or read
    kConnection,  // of somebody who may connect
    kStranger,    // of somebody who may not
};

struct Places {
    bool log = false;
    bool journal = false;
};

/// A pair of buckets for each kind of event, by its name, so that a flood of one hides no other.
class AuditRates {
public:
    /// Where an event named `what` is written. One that is not written in the log is counted. INVARIANT: names are literals,
    /// so that there are only so many.
    Places judge(std::string_view what, Frequency frequency, std::int64_t now_ns);

    /// Events that were counted instead of written, by name, since clear().
    [[nodiscard]] const std::map<std::string_view, std::int64_t>& unwritten() const { return unwritten_; }
    void clear() { unwritten_.clear(); }

private:
    struct Buckets {
        Bucket log;
        Bucket journal;
    };
    std::map<std::string_view, Buckets> buckets_;
    std::map<std::string_view, std::int64_t> unwritten_;
};

}  // namespace sallyport::broker
