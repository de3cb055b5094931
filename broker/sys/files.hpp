// Opening, creating and using files for the host, below directories that the policy names.
// Runs in:  broker, after lockdown()
// Input:    paths that policy/decide has judged; the tree itself may be changed by local users at any moment
// Relies on: openat2(2); a descriptor of /proc/self/fd that was opened before lockdown
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"
#include "policy/decide.hpp"

namespace sallyport::broker::sys {

/// Whether symbolic links on the way are refused or, below the rule's directory, followed.
enum class Links : std::uint8_t { kRefuse, kFollowBeneath, kFollowInRoot };

/// What an fopen() mode asks for.
struct OpenMode {
    policy::Access wanted;  // read and write
    bool may_create = false;
    bool truncate = false;
    bool append = false;
};

/// Finds `below` under `tree` without opening it: nothing is read, truncated or woken up by this.
///
/// THREAT: the path is the attacker's and local users may swap directories while we look. The kernel checks
/// each step (RESOLVE_BENEATH or RESOLVE_IN_ROOT, never a magic link), so there is no check of ours to race
/// against. Errors: kSystem; ELOOP and EXDEV mean that a link or the edge of the tree was met.
Result<UniqueFd> find_beneath(FdRef tree, const std::string& below, Links links);

/// Like find_beneath(), for a directory.
Result<UniqueFd> find_directory_beneath(FdRef tree, const std::string& below, Links links);

/// Opens for use exactly the inode that `found` refers to, whatever has happened to its path since.
///
/// THREAT: a path that named a regular file when it was checked names a device when it is opened. There is no
/// second look-up of the path: the descriptor is reopened through `proc_self_fd`. Errors: kSystem.
Result<UniqueFd> reopen(FdRef proc_self_fd, FdRef found, const OpenMode& mode);

/// Makes the new regular file `name` in `directory` with exactly the permission bits `bits` and opens it.
/// Errors: kSystem; EEXIST if anything, also a dangling link, has that name.
Result<UniqueFd> create(FdRef directory, const std::string& name, const OpenMode& mode, std::uint32_t bits);

/// Whether the inode is one that the rule lets the host have: kind, owner, names, set-id bits, size.
/// Errors: kSystem if it cannot be asked.
Result<bool> is_acceptable(FdRef found, const policy::FileRule& rule);

/// The absolute path by which the kernel knows an open descriptor now.
/// Errors: kSystem, kLimit.
Result<std::string> path_of(FdRef proc_self_fd, FdRef found);

/// What a read gave: how many bytes, and whether the end of the file was met.
struct ReadResult {
    std::size_t size = 0;
    bool eof = false;
};

/// Reads until `into` is full, the file ends or an error comes; an error after the first byte is only a short
/// read. Errors: kSystem.
Result<ReadResult> read_full(FdRef file, std::span<std::byte> into);

/// Writes all of `from`. THREAT: the bytes lie in memory that the worker can change meanwhile; they are only
/// copied. Errors: kSystem.
Status write_all(FdRef file, std::span<const std::byte> from);

/// Where the next write would put its first byte: the end of the file for `append`, else the file's position.
/// Errors: kSystem.
Result<std::uint64_t> write_position(FdRef file, bool append);

/// lseek(2) with the protocol's numbers: 0 from the start, 1 from here, 2 from the end.
/// Errors: kSystem.
Result<std::int64_t> seek(FdRef file, std::int64_t offset, int whence);

/// Closes the file and says what close(2) said; the descriptor is gone in any case.
/// Errors: kSystem.
Status close(UniqueFd file);

}  // namespace sallyport::broker::sys
