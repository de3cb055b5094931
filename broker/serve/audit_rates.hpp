// Limits how often events are logged, so that nobody can flood the log.
// Runs in:  broker
// Input:    events that a host, a stranger or a worker that was taken over can cause at will
#pragma once

#include <cstdint>
#include <map>
#include <string_view>

namespace sallyport::broker {

/// A burst, and then one more per interval.
struct Rate {
    std::int64_t burst = 0;
    std::int64_t interval_ns = 0;
};

/// A token bucket, initially full.
class Bucket {
public:
    /// Takes a token if there is one. `now_ns` is CLOCK_BOOTTIME.
    bool take(const Rate& rate, std::int64_t now_ns);

private:
    std::int64_t full_ns_ = 0;  // when all tokens will be there again
};

/// The rate of an event.
enum class Frequency : std::uint8_t {
    kAlways,      // no limit
    kRefusal,     // refused, failed, given up, a worker that broke the contract; nothing was changed or read
    kConnection,  // of a peer that may connect
    kStranger,    // of a peer that may not
};

struct Places {
    bool log = false;
    bool journal = false;
};

/// A pair of buckets for each event name, so that a flood of one event hides no other.
class AuditRates {
public:
    /// Where an event named `what` is written. If not in the log, it is counted. INVARIANT: names are literals, so their number
    /// is bounded.
    Places judge(std::string_view what, Frequency frequency, std::int64_t now_ns);

    /// The events by name that were counted, not written, since clear().
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
