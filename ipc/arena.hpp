// The arena: sealed shared memory for file contents, mapped by the broker and by the worker.
// Runs in:  broker, worker
// Input:    each side writes while the other reads; neither believes what it finds
#pragma once

#include <cstddef>
#include <span>

#include "ipc/limits.hpp"
#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"

namespace sallyport::ipc {

class Arena {
public:
    Arena(Arena&& other) noexcept;
    Arena& operator=(Arena&&) = delete;
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    ~Arena();

    /// A new memfd of kArenaSize bytes, sealed against growing, shrinking and further seals, and mapped.
    /// Broker only. Errors: kSystem.
    static Result<Arena> create();

    /// Maps an arena that was received as a descriptor. Worker only.
    /// Errors: kSystem, kInvalid if it is not of kArenaSize bytes.
    static Result<Arena> map(UniqueFd fd);

    /// The page in front of the data, where workers leave word to their successors. The broker never looks at
    /// it.
    [[nodiscard]] std::span<std::byte> header() const;

    /// The part of the data area that `offset` and `size` name; kInvalid unless it lies inside and is not
    /// empty.
    ///
    /// THREAT: the numbers come from a worker that may have been taken over. Both are 32 bits and are
    /// compared without being added up.
    [[nodiscard]] Result<std::span<std::byte>> extent(std::uint32_t offset, std::uint32_t size) const;

    /// The number-th chunk of the data area.
    [[nodiscard]] std::span<std::byte> chunk(std::size_t number) const;

    /// Gives all contents back to the kernel, so that nothing of one connection is left for the next. Header
    /// included.
    Status wipe();

    /// Takes it out of what mlockall() locked. Errors: kSystem.
    [[nodiscard]] Status unlock() const;

    [[nodiscard]] FdRef fd() const { return fd_; }

private:
    Arena(UniqueFd fd, std::span<std::byte> memory);
    static Result<Arena> map_whole(UniqueFd fd);

    UniqueFd fd_;
    std::span<std::byte> memory_;
};

}  // namespace sallyport::ipc
