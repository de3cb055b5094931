// Finds a mount point one directory at a time, without asking any server.
// Runs in:  guard and its trimmer
// Input:    a mount point from the planner; directories that local users can rename, cover and lock
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::guard {

/// What the kernel can say of a directory, or of the mount there, without waiting.
struct Seen {
    std::uint64_t mount = 0;  // mount id
    bool is_root = false;     // of that mount
    unsigned device_major = 0;
    bool is_local =
        false;  // no server answers for it: it has a device, or supports the flags of chattr itself
};

/// Errors: kSystem. EACCES: a FUSE mount that only its user may use.
Result<Seen> see(FdRef found);

/// What `point` names, opened with O_PATH. Follows no link and triggers no automount.
///
/// THREAT: a local user mounts FUSE above a disk, or locks a directory that he has exchanged, and the guard waits for him in the
/// kernel, where no signal reaches it. A mount point and all directories above it stay in the kernel's cache while it is mounted,
/// so names are looked up only there. Two kinds of directories are read nevertheless: those of the root directory's mount, which
/// is the admin's, and those of local file systems that never answer from the cache (vfat).
/// Errors: kSystem. EREMOTE: it lies below a server's mount, and cannot be found without asking the server.
Result<UniqueFd> find_point(const std::string& point);

}  // namespace sallyport::guard
