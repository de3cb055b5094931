// The inspector's loop: queries go to a child, which is killed at a query's deadline, and in any case when it has lived for
// a second and has nothing to answer: nothing that a query did to it lasts.
// Runs in:  inspector, after lockdown_inspector()
// Input:    queries of the broker, which is trusted
#pragma once

#include "inspector/sources.hpp"
#include "ipc/unique_fd.hpp"

namespace sallyport::inspector {

/// Serves until the broker closes `control`, and gives back the status to exit with. In a child: the same, when
/// its parent has no more queries for it.
///
/// As pid 1 of its namespace it takes all children with it when it ends.
int serve(FdRef control, Sources& sources);

}  // namespace sallyport::inspector
