// Files that the broker may hold: neither closing them nor reading from their page cache waits for anybody.
// Runs in:  files, in a clerk
#pragma once

#include "broker/files/kernel.hpp"
#include "ipc/files.pb.h"

namespace sallyport::files {

/// Whether it is a regular file of a file system whose close(2) does nothing (no flush), and which reports size and times without
/// waiting. THREAT: a FUSE server of a user, or a remote server, does not answer, and whoever closes the file waits. Unknown file
/// systems do not count as steady. Errors: kSystem.
Result<bool> is_steady(FdRef file);

/// Whether a renamed file keeps its inode number after the file system has dropped it from the cache. Errors: kSystem.
Result<bool> keeps_numbers(FdRef found);

/// When a read updates the access time. Errors: kSystem.
Result<ipc::OpenedReport::Atime> atime_of(FdRef file);

}  // namespace sallyport::files
