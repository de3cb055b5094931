// The nursery: forks workers for a broker that cannot start programs any more, and tells how they ended.
// Runs in:  nursery
// Input:    requests of the broker; never a host byte
//
// It executes its program twice. The first run confines it; the second makes what every worker needs, tables and a compiled filter,
// and forks workers, which so begin with all of it.
//
// THREAT: workers that are forked from one process have one address layout, and a host that crashes one after the other guesses it bit
// by bit. After each worker that did not end well the nursery executes its program anew: what a crash has told is about a layout that
// no worker has any more.
#pragma once

#include <sys/types.h>

#include <functional>

#include "base/unique_fd.hpp"

namespace sallyport::worker {

/// What a worker finds its descriptors as.
inline constexpr int kWorkerChannel = 3;
inline constexpr int kWorkerBroker = 4;
inline constexpr int kWorkerArena = 5;

/// What the nursery itself finds as descriptors; the filter only in its second run.
inline constexpr int kNurseryControl = 3;
inline constexpr int kNurseryExecutable = 4;
inline constexpr int kNurseryFilter = 5;

/// The first run: confines this process, says that it is ready and executes the program again, without arguments. Comes back only if
/// that fails, with the status to exit with.
int confine_nursery(uid_t uid, gid_t gid);

/// The second run, after confine_nursery(): serves until the broker closes its end, and gives back the status to exit with. In a child
/// that is what `be_worker` gives back, which is called with the worker's descriptors in place and all others closed. `title` is
/// this process's first argument, where a worker writes its own name.
///
/// As pid 1 of its namespace it takes all workers with it when it ends.
int run_nursery(char* title, const std::function<int()>& be_worker);

}  // namespace sallyport::worker
