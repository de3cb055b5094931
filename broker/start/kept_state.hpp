// What an agent keeps in its state directory for the next one, besides the log and the frozen mark.
// Runs in:  starter
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "policy/decide.hpp"

namespace sallyport::starter {

/// The latest time that any agent with this state directory has seen: sallyport.clock, eight bytes in native byte order. The
/// recorder writes it.
struct KeptTime {
    UniqueFd file;
    policy::WallTime floor = 0;  // the time that was kept; 0 if none was
};

/// Opens the file, creating it if needed. Errors: kSystem, kInvalid if the content is not a time.
Result<KeptTime> open_kept_time(FdRef state_directory);

/// The handles of this run: `first` and the kHandlesPerRun - 1 that follow, as long as the lock is held.
struct KeptHandles {
    UniqueFd lock;
    std::int64_t first = 0;
};

/// Opens or creates sallyport.state, eight bytes in native byte order, and locks it: one agent per state directory. All handles
/// of this run are reserved now, so that nothing waits for the disk later. Errors: kSystem, kInvalid if the file is locked, its
/// content is not our counter, or the counter has run out.
Result<KeptHandles> reserve_handles(FdRef state_directory);

/// Fails if another agent holds the lock. Only reads, since the file may be on a frozen file system. Errors: kSystem, kInvalid.
Status refuse_used(FdRef state_directory);

}  // namespace sallyport::starter
