// The inspector's loop: forks the children that answer queries, and kills them when the broker wants that. Broker and child talk
// over a socket of their own, which this process hands on and does not keep.
// Runs in:  inspector, after lockdown_inspector()
// Input:    orders of the broker, which is trusted; the end of a child, and the device at which it was looking
//
// THREAT: a child that was taken over answers for another, now or after its end. It has one socket, which is its own and
// closed with it; it cannot fork, so that it ends when it is killed; no other is begun while it may live.
#pragma once

#include "base/unique_fd.hpp"
#include "inspector/child.hpp"
#include "sandbox/syscalls.hpp"

namespace sallyport::inspector {

/// Serves until the broker closes `control`, and gives back the status to exit with. In a child: the same, when
/// the broker has no more queries for it.
///
/// As pid 1 of its namespace it takes all children with it when it ends.
int serve(UniqueFd control, const Facts& facts, const sandbox::Filter& filter);

}  // namespace sallyport::inspector
