// Files that the broker may hold itself, since neither reading from the page cache nor closing them waits for anybody.
// Runs in:  files, in a clerk
#pragma once

#include "broker/files/kernel.hpp"
#include "ipc/files.pb.h"

namespace sallyport::files {

/// Whether the opened file is a regular one of a file system whose close(2) has nothing to do (no flush), and whose size and times are told
/// without waiting. THREAT: a user's FUSE server, or one that is far away, does not answer: whoever closes waits. Unknown file systems
/// are not steady. Errors: kSystem.
Result<bool> is_steady(FdRef file);

/// Whether what is renamed keeps its inode number when nobody holds it and its file system forgets it. Errors: kSystem.
Result<bool> keeps_numbers(FdRef found);

/// When a read writes the time of the last access. Errors: kSystem.
Result<ipc::OpenedReport::Atime> atime_of(FdRef file);

}  // namespace sallyport::files
