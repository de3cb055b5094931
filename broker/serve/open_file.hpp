// A file that is open for the host, and what of it can be done without waiting for a disk.
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

namespace sallyport::broker {

struct OpenFile {
    UniqueFd fd;                 // not open: a clerk keeps the file,
    std::uint64_t clerk = 0;     // this one
    std::uint64_t position = 0;  // of what we hold
    std::uint64_t writer = 0;    // the clerk that has not reported its write to it, if there is one
    ipc::OpenedReport::Atime atime = ipc::OpenedReport::ALWAYS;
    std::string_view rule;                  // id of the rule that let it be opened
    std::optional<std::uint64_t> max_size;  // neither read nor written beyond this
    std::optional<std::int64_t> expires;    // with its rule
    bool writes = false;                    // its mode lets it be written
    bool appends = false;
    std::uint64_t opened_by = 0;   // worker number and
    std::uint64_t opened_seq = 0;  // request, in case the host never learns the handle
};

/// What a read gave: how many bytes, and whether the end of the file was met.
struct ReadPart {
    std::size_t size = 0;
    bool eof = false;
};

/// Reads at the file's position what is in the page cache, if all of `into` is, or all up to the end of the file. Nothing if a clerk has to
/// do it; also where the kernel would write down the time of the access, which can wait for a disk.
std::optional<ReadPart> read_cached(const OpenFile& file, std::span<std::byte> into);

/// lseek(2) on a file that we hold, with the protocol's numbers: 0 from the start, 1 from here, 2 from the end. None of its file systems
/// waits there, and no clerk ever has the lock of the position. Errors: kSystem.
Result<std::int64_t> seek(OpenFile& file, std::int64_t offset, std::int64_t whence);

}  // namespace sallyport::broker
