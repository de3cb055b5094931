// Which file systems would be frozen, in which order, and why others are not. Computed from the kernel's list of mounts.
// Runs in:  a child of the guard without capabilities; sallyport-policy freeze-plan
// Input:    /proc/self/mountinfo: lines by the kernel, with texts from anyone who can mount
// Relies on: nothing: pure code, which calls a function to ask what lies on what
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

/// A super block with all its mount points, in the kernel's order.
struct FileSystem {
    Device device;
    std::vector<Mount> mounts;
    const char* skipped = nullptr;  // why it is not frozen, or nullptr
    bool is_covered = false;        // it is selected but not frozen: other mounts cover all its mount points
    unsigned level = 0;             // higher than that of everything that lies on it
};

/// The files that the block device of a mount reads from, through all layers (loop devices).
using BackingFiles = std::function<std::vector<std::string>(const Mount&)>;

/// Parses all lines of `text`. Errors: kInvalid if one does not have the documented form, kLimit.
Result<std::vector<Mount>> parse_mounts(std::string_view text);

/// Every file system once, in the order of freezing: level by level, a file system after everything that lies on it; within a
/// level the last mounted first. `backing` is only called for local file systems; nothing is opened or looked at here.
///
/// THREAT: a FUSE mount of an ordinary user, or a mount of a dead server, blocks whoever touches it. Network, FUSE, autofs and
/// pseudo file systems are skipped unless the selection names them by mount point, type or source.
///
/// THREAT: a user covers a disk with a FUSE mount, so that it is silently left out. A file system covered by FUSE is not left
/// out: it cannot be opened, and the freeze fails.
std::vector<FileSystem> plan(const std::vector<Mount>& mounts, const ipc::FreezeSelection& selection,
                             const BackingFiles& backing);

}  // namespace sallyport::freeze_plan
