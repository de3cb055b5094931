// Opens a file system of the plan, after looking itself whether it is one that the policy selects.
// Runs in:  guard and its trimmer
// Input:    mount points and ids from the planner; what the kernel says of what lies there
#pragma once

#include "broker/guard/planner.hpp"

namespace sallyport::guard {

/// The root of that very mount, open for FIFREEZE.
///
/// THREAT: a mount point was covered or exchanged since the list was read, or the planner was taken over and names mounts
/// that the policy does not select. What is there is found out without opening it: mount id, that it is the root of a mount,
/// device number, kind of file system; an automount is not triggered. A selection by mount point is by the one that is opened.
/// Of the planner's word remains: sources, what is excluded by another of its mount points, by source or by type, and which of
/// what is selected is named at all. Errors: kSystem; ESTALE if another mount is there now, EPERM if it is not selected, ENOTDIR
/// if it is that mount, of a file; those of find_point().
Result<UniqueFd> open_selected(const Place& place, const ipc::FreezeSelection& selection);

/// Whether the selection by mount points, if there is one, names this place.
bool is_named(const Place& place, const ipc::FreezeSelection& selection);

/// What the kernel says of a mount's root.
struct Kind {
    unsigned device_major = 0;
    std::uint64_t magic = 0;  // of linux/magic.h
};

/// Whether `selection` can mean a file system of that kind.
bool is_meant(Kind kind, const ipc::FreezeSelection& selection);

/// Whether a file system of that kind knows from memory what it has been asked before.
bool answers_from_memory(std::uint64_t magic);

}  // namespace sallyport::guard
