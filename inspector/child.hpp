// A child of the inspector: where libraries read what the guest's users named.
// Runs in:  inspector, in a child
#pragma once

#include "inspector/sources.hpp"
#include "ipc/unique_fd.hpp"

namespace sallyport::inspector {

/// Answers the queries that come from `parent`, one after the other, on `control`, and tells `parent` of each answer by a
/// frame. Gives back the exit status when the parent has gone or a query cannot be answered.
int answer_queries(FdRef control, FdRef parent, const Sources& sources);

}  // namespace sallyport::inspector
