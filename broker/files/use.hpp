// Uses files that are open: reads, writes, moves about in them, closes them.
// Runs in:  files, in a clerk
// Input:    descriptors that open.hpp gave out; numbers of a broker that may have been taken over
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::files {

/// Where a file is used, and how far.
struct Reach {
    std::optional<std::uint64_t> place = {};  // an offset; else the file's own position, which moves
    std::optional<std::uint64_t> most = {};   // its rule lets it have so many bytes
};

/// What a read gave: how many bytes, and whether the end of the file was met.
struct ReadResult {
    std::size_t size = 0;
    bool eof = false;
};

/// Reads until `into` is full, the file ends or an error comes; an error after the first byte is only a short read.
///
/// THREAT: a regular file grows after its size was judged. Nothing behind its first `most` bytes is read. Errors: kSystem; EFBIG if
/// there is something and nothing else is left.
Result<ReadResult> read_full(FdRef file, std::span<std::byte> into, const Reach& reach = {});

/// How much was written, and what stopped it; 0 if nothing did.
struct Written {
    std::size_t size = 0;
    int sys_errno = 0;
};

/// Writes `from`, all of it unless an error comes; at the end, wherever else was said, if the file was opened to be appended to. THREAT: the
/// bytes lie in memory that the worker can change meanwhile; they are only copied. The file grows while we look: nothing is written that
/// would end behind its first `most` bytes, but for what others append at the same moment. EFBIG then.
Written write_all(FdRef file, std::span<const std::byte> from, const Reach& reach = {});

/// lseek(2) with the protocol's numbers: 0 from the start, 1 from here, 2 from the end.
/// Errors: kSystem.
Result<std::int64_t> seek(FdRef file, std::int64_t offset, std::uint32_t whence);

/// Closes the file and says what close(2) said; the descriptor is gone in any case.
/// Errors: kSystem.
Status close(UniqueFd file);

}  // namespace sallyport::files
