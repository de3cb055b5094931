// Lines on their way from the broker to the recorder, in memory that both map.
// Runs in:  broker (puts), recorder (takes)
// Input:    each side writes while the other reads; neither believes what it finds
//
// INVARIANT: a line stays where it is until the recorder has said that it is in the file. So whoever is killed, what was put
// is still there for the process that goes on.
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

/// What the two sides tell each other. Positions count bytes since the start and only grow.
struct RingWords {
    // The broker's.
    std::atomic<std::uint64_t> put;          // every line before it has been put
    std::atomic<std::uint64_t> begin;        // there are no lines before it that were not taken long ago
    std::atomic<std::uint64_t> sync_wanted;  // every line before it is to be on the disk soon
    std::atomic<std::uint32_t> is_held;      // no disk may be touched now
    std::atomic<std::uint32_t> reopens;      // how often the log was to be opened anew
    std::atomic<std::int64_t> latest_time;   // to be kept; 0: none yet
    // The recorder's.
    std::atomic<std::uint64_t> taken;   // every line before it is in the file
    std::atomic<std::uint64_t> synced;  // and on the disk
    std::atomic<std::int32_t>
        time_fault;  // errno of the last time that could not be kept; the broker takes it back
    std::atomic<std::uint32_t> is_waiting;  // for an earlier recorder, whose log it still is
    std::atomic<std::uint32_t> is_asleep;   // it wants a frame when a line comes; the broker takes this back
};

class Ring {
public:
    /// A new memfd, sealed against growing, shrinking and further seals, and mapped. Errors: kSystem.
    static Result<Ring> create();

    /// Maps one that was received. Errors: kSystem, kInvalid if it is not of the right size.
    static Result<Ring> map(UniqueFd fd);

    [[nodiscard]] RingWords& words() const { return memory_->words; }
    [[nodiscard]] FdRef fd() const { return fd_; }
    /// For a process that is to map it in our place.
    [[nodiscard]] UniqueFd release() && { return std::move(fd_); }

    /// Puts a line of at most kMaxLogLine bytes; false if there is no room. Broker only.
    bool put(std::string_view line);
    [[nodiscard]] std::uint64_t position() const { return put_; }
    /// Whether a line of any length that is allowed would find room, and another after it.
    [[nodiscard]] bool has_room() const;

    /// Copies the line at `position` into `line` and moves `position` behind it; false if there is none yet.
    ///
    /// THREAT: a broker that was taken over writes any lengths and positions, and changes them while they are read. What was
    /// checked is a copy, and nothing is read outside the ring. Errors: kInvalid if it is no line.
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
    std::uint64_t put_ = 0;  // words().put as we last wrote it
};

}  // namespace sallyport::ipc
