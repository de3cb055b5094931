// Which file systems would be frozen, in which order, and which not and why: from the kernel's list of mounts.
// Runs in:  a child of the guard without capabilities; sallyport-policy freeze-plan
// Input:    /proc/self/mountinfo: lines of the kernel's, texts of whoever may mount
// Relies on: nothing: pure; what lies on what is asked for through a function
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "ipc/guard.pb.h"

namespace sallyport::freeze_plan {

struct Device {
    std::uint32_t major = 0;
    std::uint32_t minor = 0;
    auto operator<=>(const Device&) const = default;
};

struct Mount {
    std::uint64_t id = 0;
    std::uint64_t parent = 0;  // the mount that it is mounted on
    Device device;
    std::string point;
    std::string type;
    std::string source;
};

/// One super block with all its mount points, in the kernel's order.
struct FileSystem {
    Device device;
    std::vector<Mount> mounts;
    const char* skipped = nullptr;  // why it is left alone, or nullptr
    bool is_covered = false;  // left alone, though it is selected: other mounts cover each mount point of it
    unsigned level = 0;       // above that of all that lies on it
};

/// The files that the block device of a mount is made of, through all layers: what a loop device reads from.
using BackingFiles = std::function<std::vector<std::string>(const Mount&)>;

/// Every line of `text`. Errors: kInvalid if one is not of the documented form, kLimit.
Result<std::vector<Mount>> parse_mounts(std::string_view text);

/// Every file system once, in the order of freezing: level by level, what lies on a file system before it; in a level the
/// last mounted first. `backing` is asked about local file systems only; nothing is opened or looked at here.
///
/// THREAT: a mount by an ordinary user (FUSE) or of a dead server blocks whoever touches it. Network, FUSE, autofs and
/// pseudo file systems are skipped unless the selection names them by mount point, type or source.
///
/// THREAT: he covers a disk, so that it is left out and nobody knows. What FUSE covers is not left out; it cannot be opened, and
/// the freeze fails.
std::vector<FileSystem> plan(const std::vector<Mount>& mounts, const ipc::FreezeSelection& selection,
                             const BackingFiles& backing);

}  // namespace sallyport::freeze_plan
