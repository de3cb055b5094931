// The arena: sealed shared memory for file contents, mapped by the broker, the worker and clerks of the files hand.
// Runs in:  broker, worker, files
// Input:    each side can write while the other reads; neither trusts what it finds
#pragma once

#include <cstddef>
#include <span>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/limits.hpp"

namespace sallyport::ipc {

// INVARIANT: each connection has its own arena, and no descriptor or mapping of it outlives the process that holds it. A worker
// closes the descriptor before it reads a byte from the host, and no system call of a worker can pass one on.
class Arena {
public:
    /// No arena: it contains no extent.
    Arena() = default;
    Arena(Arena&& other) noexcept;
    Arena& operator=(Arena&& other) noexcept;
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    ~Arena();

    /// A new memfd of kArenaSize bytes, sealed against growing, shrinking and further seals, and mapped. Broker only. Errors:
    /// kSystem.
    static Result<Arena> create();

    /// Maps a received arena and closes the descriptor. Worker and clerks.
    /// Errors: kSystem, kInvalid if it is not kArenaSize bytes long.
    static Result<Arena> map(UniqueFd fd);

    /// The page in front of the data, where a worker leaves data for its successor on the same connection. The broker never reads
    /// it.
    [[nodiscard]] std::span<std::byte> header() const;

    /// The part of the data area given by `offset` and `size`. Errors: kInvalid if it is empty or not inside the area.
    ///
    /// THREAT: the numbers come from a worker that may have been taken over. Both have 32 bits and are compared without being
    /// added.
    [[nodiscard]] Result<std::span<std::byte>> extent(std::uint32_t offset, std::uint32_t size) const;

    /// One chunk of the data area, by number.
    [[nodiscard]] std::span<std::byte> chunk(std::size_t number) const;

    /// To be passed to the nursery. Broker only.
    [[nodiscard]] FdRef fd() const { return fd_; }

private:
    static Result<Arena> map_whole(FdRef fd);

    UniqueFd fd_;
    std::span<std::byte> memory_;
};

}  // namespace sallyport::ipc
