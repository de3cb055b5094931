// What the path of a deny rule names, without waiting for anybody who has nothing to do with the file that is to be opened.
// Runs in:  files: before lockdown() in a child that may be left behind, and in a clerk
// Input:    the admin's paths; the trees below belong to local users and to servers
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/unique_fd.hpp"

namespace sallyport::files {

enum class Links : std::uint8_t { kRefused, kFollowed };

/// What a path names.
struct Named {
    bool is_known = false;  // else the path leads to a file system that may not be asked
    bool met_link = false;  // and links are refused
    UniqueFd found = {};    // not open: nothing
};

/// Whether a lookup may have to wait for the file system with that device number.
using MayAsk = std::function<bool(std::uint64_t device)>;

/// Walks the absolute `path` from the root directory on. Any file system is passed through as far as the kernel's cache has it; only one
/// that may be asked is asked. No automounter is set off.
///
/// THREAT: a local user, or a server that is dead, lets every name below a mount wait for ever, and a deny rule names one of these. What
/// is mounted on is always in the cache: so a way that leads through such a mount, and back to a file system that may be asked, is
/// found all the same, unless the file system forbids its names to be taken from the cache (FUSE, NFS, CIFS).
Named look_up_name(const std::string& path, Links links, const MayAsk& may_ask);

}  // namespace sallyport::files
