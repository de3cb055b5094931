// The time by which rules expire. A host sets the guest's clock: at boot, and where the guest asks it for the time.
// Runs in:  broker
#pragma once

#include <cstdint>

#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"
#include "policy/decide.hpp"

namespace sallyport::broker {

/// Both clocks at one moment.
struct ClockReading {
    policy::WallTime wall = 0;     // seconds since 1970: what the host may have set
    std::int64_t boottime_ns = 0;  // since the boot, also asleep: what it cannot set
};

ClockReading read_clocks();

/// THREAT: a clock that is set back brings a rule back that has expired. INVARIANT: the time never runs back: not below the latest
/// time that an agent with this state directory has seen, not below what has passed since the start by the other clock.
/// A clock that is set forward is believed: it ends rules early, deny rules too.
class ExpiryClock {
public:
    /// `floor`: the latest time that was seen before `start`.
    ExpiryClock(policy::WallTime floor, ClockReading start);

    void look(ClockReading reading);
    /// As of the last look.
    [[nodiscard]] policy::WallTime now() const { return latest_; }

private:
    policy::WallTime start_;  // at start_ns_
    std::int64_t start_ns_;
    policy::WallTime latest_;
};

/// The latest time in the state directory: sallyport.clock, eight bytes in the machine's order.
class KeptTime {
public:
    /// Opens it, making it. Errors: kSystem, kInvalid if the content is no time.
    static Result<KeptTime> open(FdRef state_directory);

    /// What was kept when it was opened; 0 if nothing was.
    [[nodiscard]] policy::WallTime floor() const { return floor_; }
    /// Keeps `now`, if that is a minute more than what is kept, or `now` is the first. Errors: kSystem.
    Status keep(policy::WallTime now);

private:
    KeptTime(UniqueFd file, policy::WallTime floor) : file_(std::move(file)), floor_(floor), kept_(floor) {}
    UniqueFd file_;
    policy::WallTime floor_;
    policy::WallTime kept_;
};

}  // namespace sallyport::broker
