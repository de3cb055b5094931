// The nursery: forks workers for the broker, which cannot start processes, and reports how they ended.
// Runs in:  nursery
// Input:    requests of the broker; no host byte
//
// It executes its program twice. The first run confines it. The second makes the tables and the compiled filter that every worker needs,
// and forks workers, which begin with all of it.
//
// THREAT: workers that are forked from one process share one address layout, and a host that crashes one after the other guesses it bit
// by bit. So the nursery executes its program anew after each worker that did not end well: what the host has learned is about a layout
// that no worker has any more.
#pragma once

#include <sys/types.h>

#include <functional>

#include "base/unique_fd.hpp"

namespace sallyport::worker {

/// The numbers of a worker's descriptors.
inline constexpr int kWorkerChannel = 3;
inline constexpr int kWorkerBroker = 4;
inline constexpr int kWorkerArena = 5;

/// The numbers of the nursery's own descriptors; it has the filter only in its second run.
inline constexpr int kNurseryControl = 3;
inline constexpr int kNurseryExecutable = 4;
inline constexpr int kNurseryFilter = 5;

/// The first run: confines this process, says that it is ready and executes the program again, without arguments. Returns only if that
/// fails, with the exit status.
int confine_nursery(uid_t uid, gid_t gid);

/// The second run, after confine_nursery(): serves until the broker closes its end, and returns the exit status. In a child it returns what
/// `be_worker` returns, which is called with the worker's descriptors in place and all others closed. `title` is this process's first
/// argument, where a worker writes its own name.
///
/// It is pid 1 of its namespace, so its end ends all workers.
int run_nursery(char* title, const std::function<int()>& be_worker);

}  // namespace sallyport::worker
