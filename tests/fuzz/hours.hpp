// Rules with hours, a few minutes of each week, around the time at which a run begins; and what they allow, reckoned otherwise than
// by the broker.
#pragma once

#include <cstdint>

#include "policy/decide.hpp"

namespace sallyport::fuzz {

/// Adds them to the policy, or takes away those of the run before. `shift`: seconds from now to the first window's beginning, less
/// a minute.
void add_hours(policy::Policy& policy, std::int64_t shift);
void forget_hours();

/// Whether the child of the inspector may be asked now: by the wall clock, the time since the start, or the latest time that was
/// seen. Those are the clocks by which the broker may go.
bool may_be_asked(CommandId command);

/// Moves the wall clock: over a window's boundary, or back.
void move_clock(std::size_t which);

}  // namespace sallyport::fuzz
