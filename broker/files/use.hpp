// Uses files that are open: reads, writes, moves about in them, closes them.
// Runs in:  broker, after lockdown()
// Input:    descriptors that open.hpp gave out; numbers of the worker
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"

namespace sallyport::broker::files {

/// What a read gave: how many bytes, and whether the end of the file was met.
struct ReadResult {
    std::size_t size = 0;
    bool eof = false;
};

/// Reads until `into` is full, the file ends or an error comes; an error after the first byte is only a short read.
///
/// THREAT: a regular file grows after its size was judged. Nothing behind its first `most` bytes is read. Errors: kSystem; EFBIG if
/// there is something and nothing else is left.
Result<ReadResult> read_full(FdRef file, std::span<std::byte> into, std::optional<std::uint64_t> most = {});

/// How much was written, and what stopped it; 0 if nothing did.
struct Written {
    std::size_t size = 0;
    int sys_errno = 0;
};

/// Writes `from`, all of it unless an error comes. THREAT: the bytes lie in memory that the worker can change meanwhile; they are
/// only copied.
Written write_all(FdRef file, std::span<const std::byte> from);

/// Where the next write would put its first byte: the end of the file for `append`, else the file's position.
/// Errors: kSystem.
Result<std::uint64_t> write_position(FdRef file, bool append);

/// lseek(2) with the protocol's numbers: 0 from the start, 1 from here, 2 from the end.
/// Errors: kSystem.
Result<std::int64_t> seek(FdRef file, std::int64_t offset, int whence);

/// Closes the file and says what close(2) said; the descriptor is gone in any case.
/// Errors: kSystem.
Status close(UniqueFd file);

}  // namespace sallyport::broker::files
