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

/// Makes an empty, read-only file system the root, and unmounts the old one.
Status make_empty_root();

/// Sets the permitted, effective and inheritable set without the library, to `low` of the first 32 capabilities.
Status set_capabilities(std::uint32_t low);

/// Drops all capabilities from all five sets. For processes that may empty their bounding set: nursery and inspector.
Status drop_all_capabilities();

/// Drops all capabilities but `kept`, which stay permitted and effective, by libcap-ng. kEmpty empties the bounding set where the process
/// may; an ordinary user keeps it, which counts for nothing without new privileges.
enum class Bounding : std::uint8_t { kEmpty, kLeave };
Status keep_capabilities(std::span<const KeptCapability> kept, Bounding bounding = Bounding::kEmpty);

/// Calls prctl() with one value. Errors: kSystem with `what`.
Status set_process(int option, unsigned long value, const char* what);

/// Proves that Landlock refuses the root directory, which always exists and which anybody may read otherwise.
Status prove_root_refused();

/// Installs the recorder's Landlock rules: in the log's directory it may make files, and truncate none.
Status restrict_recorder(FdRef directory);

/// Sets the resource limits of a kind of process, soft and hard.
Status set_limits(Process process);

}  // namespace sallyport::sandbox
