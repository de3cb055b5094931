// A file that is open for the host, and what can be done with it without waiting for a disk.
// Runs in:  broker, after lockdown()
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/files.pb.h"
#include "policy/decide.hpp"

namespace sallyport::broker {

struct OpenFile {
    UniqueFd fd;                 // closed: a clerk keeps the file
    std::uint64_t clerk = 0;     // the clerk that keeps it
    std::uint64_t position = 0;  // of a file that we hold
    std::uint64_t writer = 0;    // the clerk whose write to it is not reported yet, if any
    ipc::OpenedReport::Atime atime = ipc::OpenedReport::ALWAYS;
    std::string_view rule;                        // id of the rule that let it be opened
    std::optional<std::uint64_t> max_size;        // nothing is read or written beyond this
    std::size_t by = 0;                           // number of that rule
    std::optional<policy::GuestPath> place = {};  // where it was found
    policy::Access access = {};                   // what it was opened for
    bool writes = false;                          // the open mode allows writes
    bool appends = false;
    std::uint64_t opened_by = 0;   // number of the worker
    std::uint64_t opened_seq = 0;  // the request, in case the host never learns the handle
};

/// The result of a read: the number of bytes, and whether the end of the file was reached.
struct ReadPart {
    std::size_t size = 0;
    bool eof = false;
};

/// Reads at the file's position from the page cache, if that has all of `into`, or all up to the end of the file. Otherwise
/// returns nothing, and a clerk has to read. Also returns nothing where the kernel would update the access time, which can wait
/// for a disk.
std::optional<ReadPart> read_cached(const OpenFile& file, std::span<std::byte> into);

/// lseek(2) on a file that we hold, with the protocol's numbers: 0 from the start, 1 from the current position, 2 from the end.
/// It does not wait on these file systems, and no clerk ever holds the lock of the position. Errors: kSystem.
Result<std::int64_t> seek(OpenFile& file, std::int64_t offset, std::int64_t whence);

}  // namespace sallyport::broker
