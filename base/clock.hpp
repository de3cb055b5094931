// The time since boot, and the time by which rules expire. The host can set the guest's wall clock: at boot, and whenever the
// guest asks it for the time.
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
    std::int64_t wall = 0;         // seconds since 1970; the host may have set it
    std::int64_t boottime_ns = 0;  // since boot, sleep included; the host cannot set it
};

ClockReading read_clocks();

/// THREAT: a clock that is set back revives a rule that has expired.
/// INVARIANT: this time never runs backwards. It is never earlier than the latest time that any agent with this state directory
/// has seen, nor than the start plus what CLOCK_BOOTTIME says has passed.
/// A clock that is set forward is believed: rules end early, deny rules included.
class ExpiryClock {
public:
    /// `floor`: the latest time seen before `start`.
    ExpiryClock(std::int64_t floor, ClockReading start);

    void look(ClockReading reading);
    /// Seconds since 1970, as of the last look().
    [[nodiscard]] std::int64_t now() const { return latest_; }

private:
    std::int64_t start_;  // at start_ns_
    std::int64_t start_ns_;
    std::int64_t latest_;
};

}  // namespace sallyport
