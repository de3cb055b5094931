// The steps that the lockdown functions are made of.
// Runs in:  every process, during its lockdown
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>

#include "base/result.hpp"
#include "sandbox/lockdown.hpp"
#include "sandbox/syscalls.hpp"

namespace sallyport::sandbox {

/// Takes the one user and group of this user namespace.
Status take_ids(uid_t uid, gid_t gid);

/// Makes an empty, read-only file system the root and lets go of the old one.
Status make_empty_root();

/// Permitted, effective and inheritable set, without the library; `low` is of the first 32 capabilities.
Status set_capabilities(std::uint32_t low);

/// Drops all capabilities from all five sets. Nursery only: it may empty its bounding set.
Status drop_all_capabilities();

/// Drops all capabilities but `kept` (permitted and effective), by libcap-ng. The bounding set is emptied
/// where the process may (kEmpty); an ordinary user keeps it, and no_new_privs makes it void.
enum class Bounding : std::uint8_t { kEmpty, kLeave };
Status keep_capabilities(std::span<const KeptCapability> kept, Bounding bounding = Bounding::kEmpty);

/// A prctl() option with one value.
Status set_process(int option, unsigned long value, const char* what);

/// Proves Landlock by what it must refuse: the root directory, which exists and which anybody may read
/// otherwise.
Status prove_root_refused();

/// The recorder's Landlock rules: the log's directory, in which nothing is truncated, and nothing made but files.
Status restrict_recorder(FdRef directory);

/// Sets the resource limits of a kind of process, soft and hard.
Status set_limits(Process process);

}  // namespace sallyport::sandbox
