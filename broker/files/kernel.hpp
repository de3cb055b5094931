// The questions to the kernel: one function each.
// Runs in:  files, in a clerk; broker, before lockdown()
// Input:    a tree that local users can change at any moment
// Relies on: openat2(2), statx(2); a descriptor of /proc/self/fd that was opened before lockdown
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::files {

/// The identity of a file, whatever its name.
struct Id {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t made_ns = 0;  // since 1970: when it was; 0: its file system does not say
    bool operator==(const Id& other) const { return device == other.device && inode == other.inode; }
};

/// The current attributes of an inode. `mount` is the id of the mount by which it was reached.
struct Facts {
    Id id;
    std::uint64_t mount = 0;
    std::uint32_t mode = 0;
    std::uint32_t owner = 0;
    std::uint32_t links = 0;
    std::uint64_t size = 0;
};

/// Opens `name` at `directory`: a single name, or "..", the directory above it. A new file has no permission bits. A link gives
/// ELOOP.
///
/// THREAT: a link is put in place of the name while we look. The kernel itself refuses it, so there is no check of ours to race.
/// Errors: kSystem.
Result<UniqueFd> open_at(FdRef directory, const std::string& name, int flags);

/// Opens the absolute `path` with O_PATH, which neither reads it nor activates a device. A link anywhere in it gives ELOOP.
/// Errors: kSystem.
Result<UniqueFd> find_path(const std::string& path, int flags = 0);

/// The attributes of an inode. Errors: kSystem.
Result<Facts> look_at(FdRef found);

/// The attributes of what `path` names now, following links; nothing if it does not exist or cannot be looked at.
std::optional<Facts> look_at_path(const std::string& path);

/// Opens `name` at `directory` with O_PATH and triggers no automounter there. `resolve` is openat2(2)'s; unless links are
/// refused, a link itself is opened. EAGAIN under RESOLVE_CACHED: the kernel would have to ask the file system. Errors: kSystem.
Result<UniqueFd> peek_at(FdRef directory, const std::string& name, std::uint64_t resolve);

/// What the kernel knows of an inode without asking its file system. Errors: kSystem.
struct Glance {
    std::uint64_t device = 0;
    std::uint32_t mode = 0;  // only the file type
};
Result<Glance> glance_at(FdRef found);

/// Whether the inode belongs to an automounter. Errors: kSystem.
Result<bool> is_on_autofs(FdRef found);

/// Whether the inode belongs to a procfs, wherever that is mounted. Errors: kSystem.
Result<bool> is_on_procfs(FdRef found);

/// The text of a link that was opened with O_PATH | O_NOFOLLOW. Errors: kSystem, kLimit.
Result<std::string> text_of_link(FdRef link);

/// The absolute path by which the kernel knows an open descriptor now; ends in " (deleted)" if the name by which it was found is
/// gone. Errors: kSystem, kLimit.
Result<std::string> path_of(FdRef proc_self_fd, FdRef found);

/// Waits until a change of a name in `directory` that is in progress has finished.
///
/// THREAT: unlink(2) first decrements the inode's link count and then removes the name; in between, the count is one too low and
/// the name still exists. It holds the directory's lock meanwhile. A look-up of a name that is not in the cache takes the same
/// lock, so a random name is looked up. Errors: kSystem if no random name can be made.
Status wait_for_changes(FdRef directory);

/// Opens for use exactly the inode that `found` refers to, whatever has happened to its path since.
///
/// THREAT: a path named a regular file when it was checked, and names a device when it is opened. No name is looked up: the
/// descriptor is reopened through `proc_self_fd`. Errors: kSystem.
Result<UniqueFd> reopen(FdRef proc_self_fd, FdRef found, int flags);

}  // namespace sallyport::files
