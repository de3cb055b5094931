// What a worker leaves behind for its successor on the same connection, so that a crash costs the host one request.
// Runs in:  worker
// Input:    the arena's header page; a predecessor may have been taken over
// Input:    the arena's header page; a predecessor may have been taken over

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sallyport::worker {

/// Where the input stopped.
enum class Stopped : std::uint64_t {
    kBetweenValues,
    kInsideLine,  // inside a value, or in the rest of a bad one; its line has not ended
    kAtLineEnd,   // inside a value, but the last byte taken was a line end
    kSkipping,    // in the rest of a bad value that was answered
};

/// What a predecessor owes the host.
struct Owed {
    bool half_line = false;   // a reply may have been cut off: end its line, which settles that request
    std::size_t replies = 0;  // further requests that were taken and not answered
    bool skip_line = false;   // the next bytes belong to a lost value
};

/// Counters in shared memory. They are written one word at a time, so that the page is readable after a kill at any moment.
class Journal {
public:
    /// `page`: at least 64 bytes of the arena.
    explicit Journal(std::span<std::byte> page);

    /// Reads the page, within bounds, and resets it. A wiped page owes nothing.
    ///
    /// THREAT: the predecessor wrote the page. Whatever it contains, the successor writes at most kMaxQueued + 1 lines and skips
    /// at most one line of input; a worker that was taken over could have done that itself.
    Owed take_over();

    /// A request was taken: one line is owed.
    void take() { store(kTaken, ++taken_); }
    /// Notes how far the parser is.
    void input_stopped(Stopped where);
    /// Bytes are about to be written.
    void begin_write() { store(kHalfLine, 1); }
    /// They were written, with this many line ends; `at_line_end`: the last byte was one.
    ///
    /// After a kill between the write and this call, the successor ends a line that has already ended. An empty line does less
    /// harm than two replies in one line, which the other order would risk.
    void end_write(std::size_t lines, bool at_line_end);

    [[nodiscard]] std::size_t owed() const { return static_cast<std::size_t>(taken_ - answered_); }

private:
    enum Word : std::uint8_t { kMagic, kTaken, kAnswered, kHalfLine, kStopped };
    void store(Word word, std::uint64_t value) const;
    [[nodiscard]] std::uint64_t load(Word word) const;

    std::span<std::uint64_t> words_;
    std::uint64_t taken_ = 0;
    std::uint64_t answered_ = 0;
    Stopped stopped_ = Stopped::kBetweenValues;
};

}  // namespace sallyport::worker
