// The inspector's loop: queries go to a child, which answers or is killed at its deadline. None lives for more than one
// second beyond its last answer's beginning, so that nothing of a query lasts.
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
int serve(FdRef control, const Sources& sources);

}  // namespace sallyport::inspector
