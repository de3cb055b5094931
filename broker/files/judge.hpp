// Whether what was found may be opened: by what it is, and by where it lies.
// Runs in:  files, in a clerk
// Input:    descriptors that were found, opened for nothing (O_PATH); local users may move and change all of it meanwhile
#pragma once

#include <string_view>
#include <vector>

#include "broker/files/kernel.hpp"
#include "broker/files/order.hpp"
#include "broker/files/table.hpp"
#include "policy/decide.hpp"

namespace sallyport::files {

/// Refuses what is forbidden, in the name of the rule that says so. What lies above it has been met.
Outcome<void> refuse_forbidden(const Id& id, Forbidden& forbidden);

/// Whether a directory is the root of a part of its file system that has numbers of its own: a subvolume or snapshot of Btrfs.
bool begins_part(const Facts& directory, const Facts& above);

/// A path below where such a part begins, and whether it is only passed, or what it names is opened.
struct Inside {
    std::string part;
    std::string path;
    bool is_passed = false;
};

/// Refuses what lies in such a part, unless nothing is denied, or a rule that allows it names a directory in there.
///
/// THREAT: whoever owns a subvolume makes a snapshot of it, below itself, without privilege. It shows what is denied once more, as
/// another thing.
Outcome<void> refuse_part(const Inside& inside, const Forbidden& forbidden);

/// Refuses if `directory`, or any directory above it up to the root, is forbidden, or if refuse_part() does. `name` is what is opened in it;
/// empty: it is only passed.
///
/// THREAT: what is denied was renamed, or mounted elsewhere. The way up is the tree's own: ".." from inode to inode, through mounts.
/// Errors: a refusal, or the system's error.
Outcome<void> judge_way(FdRef directory, std::string_view name, Forbidden& forbidden);

/// Refuses what belongs to a process, such as its memory: all below a process's directory of a procfs, by whichever mount or name.
/// `found` lies in the directory `parent`; what is not on a procfs is not refused.
///
/// THREAT: the host opens the memory of the broker, and with it the policy. A path tells nothing, since a procfs, or a part of it, may
/// be mounted anywhere. So the way up is walked to where the procfs is mounted, which must be its own root (always inode 1), and
/// the name of what lies directly below that decides: only processes have names that begin with a digit.
/// Errors: a refusal, or the system's error.
Outcome<void> refuse_processes(FdRef proc_self_fd, FdRef found, FdRef parent);

/// Refuses a name in the root of a procfs that only a process can have, whether there is one or not.
///
/// THREAT: the host learns which processes live. So this is asked before the name is looked up. Errors: a refusal, or the system's.
Outcome<void> refuse_process_name(FdRef directory, std::string_view name);

/// Whether the inode is one that the rule lets the host have: kind, owner, names, set-id bits, size.
bool is_acceptable(const Facts& facts, const policy::FileRule& rule);

/// Whether `path`, which the kernel gave for something that was found as `name`, says that this name is gone.
///
/// THREAT: a second name of a file is found, and taken away before the names are counted. To be asked after that.
bool is_deleted(std::string_view path, std::string_view name);

}  // namespace sallyport::files
