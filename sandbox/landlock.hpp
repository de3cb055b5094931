// Landlock: a small wrapper over its three system calls, for which no library is packaged.
// Runs in:  every process
// Relies on: Linux 5.13 or later with Landlock among its security modules; the agent's other needs make it 5.15
#pragma once

#include <linux/landlock.h>

#include <cstdint>
#include <span>

#include "base/result.hpp"

namespace sallyport::sandbox::landlock {

// Newer than the headers of Linux 6.1.
inline constexpr std::uint64_t kTruncate = std::uint64_t{1} << 14U;
inline constexpr std::uint64_t kIoctlDev = std::uint64_t{1} << 15U;

/// The rights that change a file or the contents of a directory.
inline constexpr std::uint64_t kWriting =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
    LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER | kTruncate;

/// An exception from "nothing": `rights` on the open file or beneath the open directory.
struct Grant {
    int fd;
    std::uint64_t rights;
};

/// What a later version of the interface brought, told for a kernel that does not have it.
struct Lack {
    int version;         // that has it
    const char* kernel;  // the first Linux with it
    const char* text;    // what holds meanwhile
};

/// The version of the interface that the running kernel offers, 1 or more. Errors: kSystem; a kernel without Landlock is one.
Result<int> version();

/// What a kernel that offers `version` lacks, in order; nothing if it is as new as this table.
std::span<const Lack> lacking(int version);

/// Refuses this process and its children every right that the running kernel can refuse, for good, except `grants`. Network and scopes
/// (signals and abstract sockets of processes outside) have no exceptions.
/// Errors: kSystem; a kernel without Landlock is one.
Status restrict_to(std::span<const Grant> grants);

/// Refuses only kWriting: what could be read and executed before still can.
Status refuse_writes(std::span<const Grant> grants);

}  // namespace sallyport::sandbox::landlock
