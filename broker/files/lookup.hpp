// Finds what the path of a deny rule names, without waiting for a file system that has nothing to do with the file to be opened.
// Runs in:  files: before lockdown() in a child that may be abandoned, and in a clerk
// Input:    the admin's paths; the trees below them belong to local users and to servers
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/unique_fd.hpp"

namespace sallyport::files {

enum class Links : std::uint8_t { kRefused, kFollowed };

/// The result of a look-up.
struct Named {
    bool is_known = false;  // false: the path leads to a file system that may not be asked
    bool met_link = false;  // and links were refused
    UniqueFd found = {};    // closed: nothing has that name
    // Where that is so: the directory, if it is there and may be asked, and the name in it. Links are followed to their end.
    UniqueFd directory = {};
    std::string name = {};
};

/// Whether a look-up may wait for the file system with that device number.
using MayAsk = std::function<bool(std::uint64_t device)>;

/// Walks the absolute `path` from the root directory. Through every file system it goes as far as the kernel's cache has the
/// names; only a file system that may be asked is asked. No automounter is triggered.
///
/// THREAT: a local user or a dead server makes every look-up below a mount wait for ever, and a deny rule names something there.
/// A mount point is always in the cache. So a way that leads through such a mount, and back to a file system that may be asked,
/// is still found, unless the file system forbids look-ups in the cache (FUSE, NFS, CIFS).
Named look_up_name(const std::string& path, Links links, const MayAsk& may_ask);

}  // namespace sallyport::files
