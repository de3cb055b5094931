// The decision about what a host sets: the clock, processors, memory blocks.
// Runs in:  broker, and once more in the launcher, by its own copy of the rules; the setter, about the clock; the policy tool
// Input:    numbers of a host; in the launcher, of a broker that may have been taken over
// Relies on: nothing: pure, no I/O, no clock
#pragma once

#include <cstdint>

#include "ipc/launcher.pb.h"
#include "policy/decide.hpp"

namespace sallyport::policy {

using SetRules = google::protobuf::RepeatedPtrField<ipc::SetRule>;

/// What the clocks say when it is decided.
struct Clocks {
    WallTime latest = 0;       // the time by which rules expire; no host sets it back
    std::int64_t wall_ns = 0;  // since 1970: the clock
};

/// How far a rule came, in the order in which it is looked at.
enum class SetMiss : std::uint8_t { kBounds, kTime, kStep, kNothing };

/// What all live and later allow rules let a host set, each with its rule and the times in which it counts. Nothing for a command
/// that an option takes away, or a deny rule does for ever.
SetRules set_rules(const Policy& policy);

/// Whether the clock may be set to that time.
///
/// THREAT: many small steps. Backwards they do not add up: the clock stays within one step of the latest time that was ever seen.
/// Forwards they do; docs/policy.md says so.
bool is_step_within(const ipc::SetRule::Step& by, std::int64_t to_ns, const Clocks& now);

struct SetDecision {
    int at = -1;                      // the rule; -1: none
    SetMiss miss = SetMiss::kBounds;  // the farthest that any of them came
};
/// The rule that covers all of the order: of several the one that says least (the largest step, the fewest processors that stay
/// online). What the hardware clock says is compared by the setter, which reads it.
SetDecision decide_set(const SetRules& rules, const ipc::SetOrder& order, const Clocks& now);

/// What must hold of a rule that the compiler wrote. Errors: kInvalid.
Status check_set_rule(const ipc::SetRule& from);

}  // namespace sallyport::policy
