// Decides whether what was found may be opened, by what it is and where it lies.
// Runs in:  files, in a clerk
// Input:    O_PATH descriptors; local users can move and change everything meanwhile
#pragma once

#include <string_view>
#include <vector>

#include "broker/files/kernel.hpp"
#include "broker/files/order.hpp"
#include "broker/files/table.hpp"
#include "policy/decide.hpp"

namespace sallyport::files {

/// Refuses a forbidden thing, naming the deny rule. The file systems above it have been met (Forbidden::meet()).
Outcome<void> refuse_forbidden(const Id& id, Forbidden& forbidden);

/// Whether a directory is the root of a part of its file system with inode numbers of its own: a Btrfs subvolume or snapshot.
bool begins_part(const Facts& directory, const Facts& above);

/// Where such a part begins, a path in it, and whether the path is only passed through or opened.
struct Inside {
    std::string part;
    std::string path;
    bool is_passed = false;
};

/// Refuses a path in such a part, unless nothing is denied, or an allow rule names a directory in the part.
///
/// THREAT: the owner of a subvolume makes a snapshot of it inside itself, without privilege. It shows denied files again, under
/// other inode numbers.
Outcome<void> refuse_part(const Inside& inside, const Forbidden& forbidden);

/// Refuses if `directory` or any directory above it is forbidden, if what is forbidden would be `name` in it and is not there yet, or if
/// refuse_part() does. `name` is what is opened; empty: the directory is only passed through.
///
/// THREAT: what is denied was renamed, or mounted elsewhere. The way up is that of the tree: ".." from inode to inode, through
/// mounts. Errors: a refusal, or the system's error.
Outcome<void> judge_way(FdRef directory, std::string_view name, Forbidden& forbidden);

/// Refuses the files of a process, such as its memory: everything below a process's directory of any procfs, by whichever mount
/// or name. `found` is in the directory `parent`. What is not on a procfs is not refused.
///
/// THREAT: the host opens the broker's memory, and with it the policy. A path proves nothing, since a procfs or a part of it can
/// be mounted anywhere. So the way up is walked to the root of that mount, which must be the procfs's own root (always inode 1).
/// The name directly below the root decides: only processes have names that begin with a digit. Errors: a refusal, or the
/// system's error.
Outcome<void> refuse_processes(FdRef proc_self_fd, FdRef found, FdRef parent);

/// Refuses a name in the root of a procfs that only a process can have, whether or not it exists.
///
/// THREAT: the host finds out which processes exist. So this is checked before the name is looked up. Errors: a refusal, or the
/// system's.
Outcome<void> refuse_process_name(FdRef directory, std::string_view name);

/// Whether the rule accepts the inode: kind, owner, number of names, set-id bits, size.
bool is_acceptable(const Facts& facts, const policy::FileRule& rule);

/// Whether `path`, which the kernel gave for something found as `name`, says that the name has been deleted.
///
/// THREAT: a file is found by its second name, which is removed before the names are counted. Call this after counting.
bool is_deleted(std::string_view path, std::string_view name);

}  // namespace sallyport::files
