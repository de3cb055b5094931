// Uses open files: reads, writes, seeks, closes.
// Runs in:  files, in a clerk
// Input:    descriptors from open.hpp; numbers of a broker that may have been taken over
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::files {

/// Where a file is used, and its size limit.
struct Reach {
    std::optional<std::uint64_t> place = {};  // an offset; without it, the file's own position
    std::optional<std::uint64_t> most = {};   // the size limit of its rule
};

/// The result of a read: the number of bytes, and whether the end of the file was reached.
struct ReadResult {
    std::size_t size = 0;
    bool eof = false;
};

/// Reads until `into` is full, the file ends or an error occurs. An error after the first byte only shortens the read.
///
/// THREAT: a regular file grows after its size was checked. Nothing beyond its first `most` bytes is read. Errors: kSystem; EFBIG
/// if there are bytes, but only beyond that.
Result<ReadResult> read_full(FdRef file, std::span<std::byte> into, const Reach& reach = {});

/// How much was written, and the errno that stopped it; 0 if nothing did.
struct Written {
    std::size_t size = 0;
    int sys_errno = 0;
};

/// Writes all of `from` unless an error occurs. A file opened for appending is written at its end, whatever the offset. THREAT:
/// the worker can change the bytes meanwhile; they are only copied. The file grows while we look: except for concurrent appends
/// by others, no write ends beyond its first `most` bytes; it fails with EFBIG.
Written write_all(FdRef file, std::span<const std::byte> from, const Reach& reach = {});

/// lseek(2) with the protocol's numbers: 0 from the start, 1 from the current position, 2 from the end. Errors: kSystem.
Result<std::int64_t> seek(FdRef file, std::int64_t offset, std::uint32_t whence);

/// Closes the file and returns the error of close(2); the descriptor is closed in any case. Errors: kSystem.
Status close(UniqueFd file);

}  // namespace sallyport::files
