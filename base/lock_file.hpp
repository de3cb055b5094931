// Lock files: anyone who can open one can lock it.
// Runs in:  starter, recorder
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport {

/// Removes all access to `file` but its owner's. Call it before locking the file.
///
/// THREAT: a local user locks a file that he can only read, and no agent starts. Files are created with mode 0600, but an older
/// one may have another mode, from a backup or a chmod. A user who has it open already keeps it open, and keeps his lock.
/// Errors: kSystem.
Status close_to_others(FdRef file);

}  // namespace sallyport
