// When a rule counts: its expiry, and its hours of the week.
// Runs in:  broker, files, launcher, setter, inspector; starter; the policy tool
// Input:    tables that the policy's compiler made; check() bounds them, before any host is heard
// Relies on: nothing: integer arithmetic; no time zone is read here
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "ipc/times.pb.h"

namespace sallyport::ipc {

/// What a rule does while it counts. It says which way is the safe one where the table knows no more.
enum class Counts : std::uint8_t { kToAllow, kToDeny };

/// `now`: seconds since 1970, UTC. From kWhenEnd on the zone's clocks are not known: then no rule with hours allows, and each denies.
bool is_within(const When& when, std::int64_t now, Counts counts);

bool is_live(const LiveTime& rule, std::int64_t now, Counts counts);

/// Whether what a rule allows is allowed now: it counts, and no deny rule does.
bool is_time(const Times& times, std::int64_t now);

/// Errors: kInvalid.
Status check(const When& when);

}  // namespace sallyport::ipc
