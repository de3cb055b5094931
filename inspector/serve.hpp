// The inspector's loop: queries go to a child, which is killed at a query's deadline, and in any case when it has lived for
// a second and has nothing to answer: nothing that a query did to it lasts. What a child says is passed on as it comes,
// under the number of the query that it was given.
// Runs in:  inspector, after lockdown_inspector()
// Input:    queries of the broker, which is trusted; parts of replies of children, which are counted and not looked into. A child
//           takes out of its reply what the policy does not show.
//
// THREAT: a child that was taken over answers for another, now or after its end. It has one socket, which is its own and
// closed with it; it cannot fork, so that it ends when it is killed; what it says without being asked ends it.
#pragma once

#include "base/unique_fd.hpp"
#include "inspector/child.hpp"
#include "sandbox/syscalls.hpp"

namespace sallyport::inspector {

/// Serves until the broker closes `control`, and gives back the status to exit with. In a child: the same, when
/// its parent has no more queries for it.
///
/// As pid 1 of its namespace it takes all children with it when it ends.
int serve(UniqueFd control, const Facts& facts, const sandbox::Filter& filter);

}  // namespace sallyport::inspector
