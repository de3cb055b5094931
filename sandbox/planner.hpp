// The confinement of the guard's planner, a child of the guard.
// Runs in:  the planner, before it reads anything
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::sandbox {

class Filter;

/// The filter of the planners to come. In the guard, before its lockdown. Errors: kSystem.
Result<Filter> filter_of_planners();

/// Locks the planner down further than the guard: no capability; it can read below `sys` and what it has open, send, and end.
/// Errors: kSystem with the step's name, kProof.
Status lockdown_planner(FdRef sys, const Filter& filter);

}  // namespace sallyport::sandbox
