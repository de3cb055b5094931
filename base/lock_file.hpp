// Files that are locked: whoever can open one can lock it.
// Runs in:  starter, recorder
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport {

/// Takes every right to `file` from all but its owner. To be called before it is locked.
///
/// THREAT: a local user locks what he may only read, and no agent starts. Files are made with mode 0600, but one that was there
/// before, from a backup or after a chmod, may have another. Who has it open already keeps it open, and his lock.
/// Errors: kSystem.
Status close_to_others(FdRef file);

}  // namespace sallyport
