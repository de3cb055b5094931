// Where a process can open something by its name: the rows of its Landlock rules. The lockdown installs them, the policy tool prints them.
// Runs in:  every process; the policy tool
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "sandbox/landlock.hpp"
#include "sandbox/needs.hpp"

namespace sallyport::sandbox {

/// Rights beneath a directory, or on a file. Which directory it is in the end is found when it is opened, before the lockdown.
struct Place {
    const char* where;
    std::uint64_t rights;
};

inline constexpr std::uint64_t kReadTree = LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_READ_FILE;

/// The kernel opens it to execute it.
inline constexpr Place kWorkersExecutable{"the worker's executable",
                                          LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE};
/// The guard freezes what is mounted on a directory.
inline constexpr Place kMountPoints{"/", LANDLOCK_ACCESS_FS_READ_DIR};
inline constexpr Place kSysfs{"/sys", kReadTree};
inline constexpr Place kZones{"/usr/share/zoneinfo", LANDLOCK_ACCESS_FS_READ_FILE};
/// Files to which links lead that a new child of the inspector follows.
inline constexpr Place kLinked{"/", LANDLOCK_ACCESS_FS_READ_FILE};
inline constexpr Place kLog{"the state directory",
                            LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE};
inline constexpr Place kDevices{"the devices that it sets, in /sys/devices/system",
                                kReadTree | LANDLOCK_ACCESS_FS_WRITE_FILE};

/// Those that do not follow from the policy. Files and inspector have none but trees.
std::span<const Place> places_of(Process process);

/// Whether the process has an empty file system as its root.
bool has_empty_root(Process process);

/// The rights of a tree.
std::uint64_t rights_of(const FilesNeeds::Tree& tree);
std::uint64_t rights_of(const InspectorNeeds::Tree& tree);

/// The directory that the files hand is granted for what is below `under`, if it is there when the agent starts; nothing: the root directory.
std::optional<std::string> system_directory(std::string_view under);

}  // namespace sallyport::sandbox
