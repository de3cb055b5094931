// Opens a file system of the plan, after checking that the policy selects it.
// Runs in:  guard and its trimmer
// Input:    mount points and ids from the planner; what the kernel says of them
#pragma once

#include "broker/guard/planner.hpp"

namespace sallyport::guard {

/// The root of that very mount, open for FIFREEZE.
///
/// THREAT: a mount point was covered or exchanged since the list was read, or the planner was taken over and names mounts that
/// the policy does not select. The place is checked without opening it: mount id, being the root of a mount, device number, type
/// of file system. No automount is triggered. A selection by mount points must include the one that is opened.
/// The planner is believed about sources, exclusion by another mount point, source or type, and about which of the selected file
/// systems it lists. Errors: kSystem; ESTALE if another mount is there now, EPERM if it is not selected, ENOTDIR if the mount is
/// of a file; those of find_point().
Result<UniqueFd> open_selected(const Place& place, const ipc::FreezeSelection& selection);

/// Whether the selection by mount points, if there is one, includes this place.
bool is_named(const Place& place, const ipc::FreezeSelection& selection);

/// The kind of a mounted file system.
struct Kind {
    unsigned device_major = 0;
    std::uint64_t magic = 0;  // of linux/magic.h
};

/// Whether `selection` can select a file system of that kind.
bool is_meant(Kind kind, const ipc::FreezeSelection& selection);

/// Whether a file system of that kind answers repeated look-ups from the cache.
bool answers_from_memory(std::uint64_t magic);

}  // namespace sallyport::guard
