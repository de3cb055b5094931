// Finds a mount point one directory at a time, without asking a server.
// Runs in:  guard and its trimmer
// Input:    a mount point from the planner; directories that local users may rename, cover and lock
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::guard {

/// What the kernel knows of a directory or of what is mounted there, and says at once.
struct Seen {
    std::uint64_t mount = 0;  // mount id
    bool is_root = false;     // of that mount
    unsigned device_major = 0;
    bool is_local = false;  // no server answers for it: it has a device, or keeps the flags of chattr itself
};

/// Errors: kSystem. EACCES: of a FUSE mount that is its user's alone.
Result<Seen> see(FdRef found);

/// What `point` names, without following a link and without an automount. O_PATH.
///
/// THREAT: a local user mounts FUSE above a disk, or locks a directory that he has exchanged, and the guard waits for him in the
/// kernel, where no signal reaches it. A mount point and all directories above it are in the kernel's memory as long as it is
/// mounted; so each name is looked up there and nowhere else. Two kinds of directories are read all the same: of the mount of the
/// root directory, which is the admin's, and of local file systems that never answer from memory (vfat).
/// Errors: kSystem. EREMOTE: it lies below a mount of a server's, and cannot be found without asking that.
Result<UniqueFd> find_point(const std::string& point);

}  // namespace sallyport::guard
