// What the guard's children do with file systems.
// Runs in:  children of the guard; thaw_pass() also in the guard itself, if both its children are gone
#pragma once

#include <span>

#include "broker/guard/family.hpp"

namespace sallyport::guard {

/// The parameters of a child.
struct Duty {
    Shared& shared;
    std::span<const Held> held;
    FdRef life;      // socket to the guard: closed when it orders the thaw or dies
    FdRef freezing;  // closed when no process can be freezing any more
    Listener listener;
    bool fails_if_frozen = false;
};

/// Syncs all file systems in parallel, then freezes them in order, until told to stop or a step fails.
void freeze_all(const Duty& duty);

/// Whether it is ours to freeze now; then its state says so. Not if the thaw has been ordered.
///
/// THREAT: all is thawed and the host has been told, when somebody freezes who looked for the order before it came, and is killed then.
/// Whoever thaws has ordered it before he looks for what is being frozen: he sees this claim, or it sees the order.
bool claim_freeze(Shared& shared, std::size_t at);

/// Waits until `life` is closed, then thaws what is frozen. What is being frozen is left alone while a process lives that may be
/// freezing it: no freeze may complete after the thaw.
void thaw_at_end(const Duty& duty);

/// Thaws, last frozen first, what is frozen and claimed by nobody. With `also_claimed`, also what others have claimed, since they
/// may have died. A second thaw does no harm: FITHAW returns an error.
void thaw_pass(Shared& shared, std::span<const Held> held, bool also_claimed);

}  // namespace sallyport::guard
