// Log lines on their way from the broker to the recorder, in shared memory.
// Runs in:  broker (puts), recorder (takes)
// Input:    each side can write while the other reads; neither trusts what it finds
//
// INVARIANT: a line stays in the ring until the recorder has said that it is in the file. So if any process is killed, the one
// that goes on still finds the line.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/limits.hpp"

namespace sallyport::ipc {

/// Shared words. Positions count bytes since the start and only grow.
struct RingWords {
    // Written by the broker.
    std::atomic<std::uint64_t> put;          // end of the lines that have been put
    std::atomic<std::uint64_t> begin;        // all lines before it were taken long ago
    std::atomic<std::uint64_t> sync_wanted;  // every line before it is to reach the disk soon
    std::atomic<std::uint32_t> is_held;      // no disk may be touched now
    std::atomic<std::uint32_t> reopens;      // how many times the log was to be reopened
    std::atomic<std::int64_t> latest_time;   // to be kept; 0: none yet
    std::array<std::atomic<std::int64_t>, kMaxBuckets>
        due;  // when buckets of budgets are full; to be kept; 0: nothing new
    // Written by the recorder.
    std::atomic<std::uint64_t> taken;   // every line before it is in the file
    std::atomic<std::uint64_t> synced;  // every line before it is on the disk
    std::atomic<std::int32_t>
        time_fault;  // errno of the last time or budget that was not kept; the broker resets it
    std::atomic<std::uint32_t> is_waiting;  // for an earlier recorder, which still has the log
    std::atomic<std::uint32_t> is_asleep;   // wants a frame for the next line; the broker resets this
};

class Ring {
public:
    /// Creates a memfd, sealed against growing, shrinking and further seals, and maps it. Errors: kSystem.
    static Result<Ring> create();

    /// Maps a received ring. Errors: kSystem, kInvalid if it has the wrong size.
    static Result<Ring> map(UniqueFd fd);

    [[nodiscard]] RingWords& words() const { return memory_->words; }
    [[nodiscard]] FdRef fd() const { return fd_; }
    /// To be passed to a process that maps it instead of us.
    [[nodiscard]] UniqueFd release() && { return std::move(fd_); }

    /// Puts a line of at most kMaxLogLine bytes; false if there is no room. Broker only.
    bool put(std::string_view line);
    [[nodiscard]] std::uint64_t position() const { return put_; }
    /// Whether any line of allowed length fits, and another after it.
    [[nodiscard]] bool has_room() const;

    /// Copies the line at `position` into `line` and moves `position` past it. False if there is none yet.
    ///
    /// THREAT: a broker that was taken over writes any lengths and positions, and changes them while they are read. Lengths are
    /// copied before they are checked, and nothing outside the ring is read. Errors: kInvalid if this is not a line.
    Result<bool> take(std::uint64_t& position, std::string& line) const;

private:
    struct Memory {
        RingWords words;
        alignas(4096) std::array<char, kLogRing> data;
    };
    struct Unmap {
        void operator()(Memory* memory) const;
    };
    static Result<Ring> map_whole(UniqueFd fd);
    [[nodiscard]] std::uint64_t used() const;

    UniqueFd fd_;
    std::unique_ptr<Memory, Unmap> memory_;
    std::uint64_t put_ = 0;  // the value that we last wrote to words().put
};

}  // namespace sallyport::ipc
