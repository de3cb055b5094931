// The arena: sealed shared memory for file contents, mapped by the broker, the worker and clerks of the files hand.
// Runs in:  broker, worker, files
// Input:    each side writes while the other reads; neither believes what it finds
#pragma once

#include <cstddef>
#include <span>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/limits.hpp"

namespace sallyport::ipc {

// INVARIANT: each connection has an arena of its own, and no descriptor or mapping of it outlives the process that has
// it: a worker closes the descriptor before it reads a byte of the host, and no call of a worker gives one away.
class Arena {
public:
    /// No arena: no extent lies inside.
    Arena() = default;
    Arena(Arena&& other) noexcept;
    Arena& operator=(Arena&& other) noexcept;
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    ~Arena();

    /// A new memfd of kArenaSize bytes, sealed against growing, shrinking and further seals, and mapped.
    /// Broker only. Errors: kSystem.
    static Result<Arena> create();

    /// Maps an arena that was received as a descriptor, which is closed. Worker only.
    /// Errors: kSystem, kInvalid if it is not of kArenaSize bytes.
    static Result<Arena> map(UniqueFd fd);

    /// The page in front of the data, where workers leave word to their successors on the same connection. The broker
    /// never looks at it.
    [[nodiscard]] std::span<std::byte> header() const;

    /// The part of the data area that `offset` and `size` name; kInvalid unless it lies inside and is not
    /// empty.
    ///
    /// THREAT: the numbers come from a worker that may have been taken over. Both are 32 bits and are
    /// compared without being added up.
    [[nodiscard]] Result<std::span<std::byte>> extent(std::uint32_t offset, std::uint32_t size) const;

    /// The number-th chunk of the data area.
    [[nodiscard]] std::span<std::byte> chunk(std::size_t number) const;

    /// For the nursery. Broker only.
    [[nodiscard]] FdRef fd() const { return fd_; }

private:
    static Result<Arena> map_whole(FdRef fd);

    UniqueFd fd_;
    std::span<std::byte> memory_;
};

}  // namespace sallyport::ipc
