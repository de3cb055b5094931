// What this room asks the kernel: one function for each question.
// Runs in:  files, in a clerk; broker, before lockdown()
// Input:    a tree that local users may change at any moment
// Relies on: openat2(2), statx(2); a descriptor of /proc/self/fd that was opened before lockdown
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::files {

/// Which file something is, whatever it is called.
struct Id {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t made_ns = 0;  // since 1970: when it was; 0: its file system does not say
    bool operator==(const Id& other) const { return device == other.device && inode == other.inode; }
};

/// What an inode is now. `mount` is the number of the mount by which it was reached.
struct Facts {
    Id id;
    std::uint64_t mount = 0;
    std::uint32_t mode = 0;
    std::uint32_t owner = 0;
    std::uint32_t links = 0;
    std::uint64_t size = 0;
};

/// Opens `name` at `directory`: one name, or "..", which is the directory above it. A new file has no permission bits. A link is ELOOP.
///
/// THREAT: a link takes the name's place while we look. The kernel refuses it itself, so there is no check of ours to race against.
/// Errors: kSystem.
Result<UniqueFd> open_at(FdRef directory, const std::string& name, int flags);

/// Opens the absolute `path` for nothing (O_PATH): neither read nor woken up. A link anywhere is ELOOP. Errors: kSystem.
Result<UniqueFd> find_path(const std::string& path, int flags = 0);

/// What the inode is. Errors: kSystem.
Result<Facts> look_at(FdRef found);

/// What `path` names now, links followed; nothing if there is no such thing, or it cannot be looked at.
std::optional<Facts> look_at_path(const std::string& path);

/// Opens `name` at `directory` for nothing (O_PATH), without setting off an automounter that is found there. `resolve` is
/// openat2(2)'s; a link itself is opened where it is not refused. EAGAIN under RESOLVE_CACHED: the kernel does not know without asking
/// the file system. Errors: kSystem.
Result<UniqueFd> peek_at(FdRef directory, const std::string& name, std::uint64_t resolve);

/// What the kernel knows of an inode without asking its file system. Errors: kSystem.
struct Glance {
    std::uint64_t device = 0;
    std::uint32_t mode = 0;  // its kind alone
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

/// Waits until whoever is changing a name of `directory` at this moment is done.
///
/// THREAT: unlink(2) first lowers an inode's number of names and then takes the name away; who looks in between sees one name
/// too few, and the name still there. It holds the directory's lock meanwhile, and so does the search for a name that nobody, who
/// cannot guess it, has had searched before. Errors: kSystem if there is no such name to be had.
Status wait_for_changes(FdRef directory);

/// Opens for use exactly the inode that `found` refers to, whatever has happened to its path since.
///
/// THREAT: a path that named a regular file when it was checked names a device when it is opened. No name is looked up: the
/// descriptor is reopened through `proc_self_fd`. Errors: kSystem.
Result<UniqueFd> reopen(FdRef proc_self_fd, FdRef found, int flags);

}  // namespace sallyport::files
