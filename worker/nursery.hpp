// The nursery: forks workers for a broker that cannot start programs any more, and tells how they ended.
// Runs in:  nursery, after lockdown_nursery()
// Input:    requests of the broker; never a host byte
#pragma once

#include "base/unique_fd.hpp"

namespace sallyport::worker {

/// What a worker finds its descriptors as.
inline constexpr int kWorkerChannel = 3;
inline constexpr int kWorkerBroker = 4;
inline constexpr int kWorkerArena = 5;

/// Serves until the broker closes `control`, and gives back the status to exit with. Workers are started from
/// `executable`. In a child it returns only if the worker could not be started.
///
/// As pid 1 of its namespace it takes all workers with it when it ends.
int run_nursery(FdRef control, FdRef executable);

}  // namespace sallyport::worker
