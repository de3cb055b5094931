// The inspector's loop: a child for each query, which answers or is killed at its deadline.
// Runs in:  inspector, after lockdown_inspector()
// Input:    queries of the broker, which is trusted
#pragma once

#include "inspector/sources.hpp"
#include "ipc/unique_fd.hpp"

namespace sallyport::inspector {

/// Serves until the broker closes `control`, and gives back the status to exit with. In the child of a query: answers
/// it, and gives back 0 if it could.
///
/// As pid 1 of its namespace it takes all children with it when it ends.
int serve(FdRef control, const Sources& sources);

}  // namespace sallyport::inspector
