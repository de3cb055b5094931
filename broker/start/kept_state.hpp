// What an agent keeps in its state directory for the next one, besides the log and the frozen mark.
// Runs in:  starter
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "policy/decide.hpp"

namespace sallyport::starter {

/// The latest time that an agent with this state directory has seen: sallyport.clock, eight bytes in the machine's order, which the
/// recorder writes.
struct KeptTime {
    UniqueFd file;
    policy::WallTime floor = 0;  // what was kept; 0 if nothing was
};

/// Opens the file, making it. Errors: kSystem, kInvalid if the content is no time.
Result<KeptTime> open_kept_time(FdRef state_directory);

/// The numbers that this run's open files are known by: `first` and kHandlesPerRun - 1 more, for as long as the lock is held.
struct KeptHandles {
    UniqueFd lock;
    std::int64_t first = 0;
};

/// Opens (or makes) sallyport.state, eight bytes in the machine's order, and locks it: one agent for each state directory. The
/// numbers of this run are reserved at once, so that no disk is waited for later. Errors: kSystem, kInvalid if the file is locked,
/// or its content is not a counter of ours, or has run out.
Result<KeptHandles> reserve_handles(FdRef state_directory);

/// Fails if another agent has the lock. Only reads: the file may be on a frozen file system. Errors: kSystem, kInvalid.
Status refuse_used(FdRef state_directory);

}  // namespace sallyport::starter
