// What the children of the guard do with file systems.
// Runs in:  children of the guard; thaw_pass() also in a guard that is alone
#pragma once

#include <span>

#include "broker/guard/family.hpp"

namespace sallyport::guard {

/// A child's view.
struct Job {
    Shared& shared;
    std::span<const Held> held;
    FdRef life;      // to the guard: ends when it orders the thaw, or dies
    FdRef freezing;  // ends when nobody can be freezing any more
    Listener listener;
    bool fails_if_frozen = false;
};

/// Writes everything out, in parallel, then freezes in order, until told to stop or something fails.
void freeze_all(const Job& job);

/// Whether it is ours to freeze now; then its state says so. Not if the thaw has been ordered.
///
/// THREAT: all is thawed and the host has been told, when somebody freezes who looked for the order before it came, and is killed then.
/// Whoever thaws has ordered it before he looks for what is being frozen: he sees this claim, or it sees the order.
bool claim_freeze(Shared& shared, std::size_t at);

/// Waits for the end of `life`, then thaws what is frozen. What is being frozen it leaves alone as long as somebody lives
/// who may be at it: a freeze must not complete after the thaw.
void thaw_at_end(const Job& job);

/// Thaws what is frozen and what nobody else is thawing, the last frozen first. With `also_claimed`, too, what others
/// had begun with: they may have died. Never harmful: to thaw twice is an error of the second.
void thaw_pass(Shared& shared, std::span<const Held> held, bool also_claimed);

}  // namespace sallyport::guard
