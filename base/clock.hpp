// The time since the boot, and the time by which rules expire. A host sets the guest's clock: at boot, and where the guest asks it
// for the time.
// Runs in:  broker, files, launcher, setter
#pragma once

#include <cstdint>

namespace sallyport {

/// CLOCK_BOOTTIME in nanoseconds.
std::int64_t boottime_ns();

/// CLOCK_REALTIME in nanoseconds since 1970.
std::int64_t wall_ns();

/// Both clocks at one moment.
struct ClockReading {
    std::int64_t wall = 0;         // seconds since 1970: what the host may have set
    std::int64_t boottime_ns = 0;  // since the boot, also asleep: what it cannot set
};

ClockReading read_clocks();

/// THREAT: a clock that is set back brings a rule back that has expired. INVARIANT: the time never runs back: not below the latest
/// time that an agent with this state directory has seen, not below what has passed since the start by the other clock.
/// A clock that is set forward is believed: it ends rules early, deny rules too.
class ExpiryClock {
public:
    /// `floor`: the latest time that was seen before `start`.
    ExpiryClock(std::int64_t floor, ClockReading start);

    void look(ClockReading reading);
    /// As of the last look; seconds since 1970.
    [[nodiscard]] std::int64_t now() const { return latest_; }

private:
    std::int64_t start_;  // at start_ns_
    std::int64_t start_ns_;
    std::int64_t latest_;
};

}  // namespace sallyport
