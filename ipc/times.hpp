// When a rule counts: its expiry, and its hours of the week.
// Runs in:  broker, files, launcher, setter, inspector; starter; the policy tool
// Input:    tables that the policy's compiler made; check() bounds them, before any host is heard
// Relies on: nothing: integer arithmetic; no time zone is read here
#pragma once

#include <cstdint>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "ipc/times.pb.h"

namespace sallyport::ipc {

/// What a rule does while it counts. It says which way is the safe one where the table knows no more.
enum class Counts : std::uint8_t { kToAllow, kToDeny };

/// Whether the hours are now. From kWhenEnd on the zone's clocks are not known: then no rule with hours allows, and each denies.
///
/// THREAT: a host sets the clock into the hours of a rule that allows, or out of those of one that denies, and back. So what allows
/// has to lie in its hours by the clock and by the latest time ever seen; what denies, by one of them. What a clock that was wrong has shown counts until
/// the true time has caught up.
bool is_within(const When& when, Moment now, Counts counts);

/// Rules expire by the latest time ever seen.
bool is_live(const LiveTime& rule, Moment now, Counts counts);

/// Whether what a rule allows is allowed now: it counts, and no deny rule does.
bool is_time(const Times& times, Moment now);

/// Errors: kInvalid.
Status check(const When& when);

}  // namespace sallyport::ipc
