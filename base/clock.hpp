// The time since boot, and the times by which rules count. The host can set the guest's wall clock: at boot, and whenever the
// guest asks it for the time.
// Runs in:  broker, files, launcher, recorder, setter
#pragma once

#include <cstdint>

namespace sallyport {

inline constexpr std::int64_t kNsPerMs = 1'000'000;

/// CLOCK_BOOTTIME in nanoseconds.
std::int64_t boottime_ns();

/// Nanoseconds since boot in which the guest was awake: CLOCK_MONOTONIC. How long it slept, which CLOCK_BOOTTIME adds, the kernel learns
/// from the hardware clock when it wakes up, and that is the host's.
std::int64_t awake_ns();

/// CLOCK_REALTIME in nanoseconds since 1970.
std::int64_t wall_ns();

/// Both clocks at one moment.
struct ClockReading {
    std::int64_t wall = 0;         // seconds since 1970; the host may have set it
    std::int64_t boottime_ns = 0;  // since boot, sleep included; the host cannot set it
};

ClockReading read_clocks();

/// A moment by the two times that rules go by, in seconds since 1970. They differ where the clock was set back.
struct Moment {
    /// Where no clock was set back, one number says it.
    Moment(std::int64_t both) : latest(both), wall(both) {}
    Moment(std::int64_t latest_seen, std::int64_t by_the_clock) : latest(latest_seen), wall(by_the_clock) {}
    std::int64_t latest;  // the latest time that was ever seen
    std::int64_t wall;    // what the clock says
};

/// THREAT: a clock that is set back revives a rule that has expired.
/// INVARIANT: the latest time never runs backwards. It is never earlier than the latest that any agent with this state directory
/// has seen, nor than the start plus what CLOCK_BOOTTIME says has passed.
/// A clock that is set forward is believed: rules end early, deny rules included.
class ExpiryClock {
public:
    /// `floor`: the latest time seen before `start`.
    ExpiryClock(std::int64_t floor, ClockReading start);

    void look(ClockReading reading);
    /// As of the last look().
    [[nodiscard]] Moment now() const { return {latest_, wall_}; }

private:
    std::int64_t start_;  // at start_ns_
    std::int64_t start_ns_;
    std::int64_t latest_;
    std::int64_t wall_;
};

}  // namespace sallyport
