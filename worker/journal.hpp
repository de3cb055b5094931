// What a worker leaves behind for its successor on the same connection, so that a crash costs the host one
// request.
// Runs in:  worker
// Input:    the arena's header page; a predecessor may have been taken over

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sallyport::worker {

/// What the input stopped in.
enum class Stopped : std::uint64_t {
    kBetweenValues,
    kInsideLine,  // inside a value or the rest of a bad one; its line has not ended
    kAtLineEnd,   // inside a value, but the last byte taken was a line end
    kSkipping,    // in the rest of a bad value, which was answered
};

/// What a predecessor owes the host.
struct Owed {
    bool half_line = false;   // a reply may have been cut off: its line has to be ended, which settles it
    std::size_t replies = 0;  // further requests that were taken and not answered
    bool skip_line = false;   // the next bytes belong to a value that is lost
};

/// Counters in shared memory. They are written one word at a time, so that a kill at any moment leaves a
/// readable page.
class Journal {
public:
    /// `page` is at least 64 bytes of the arena.
    explicit Journal(std::span<std::byte> page);

    /// What the page says, within bounds, and begins afresh. A wiped page owes nothing.
    ///
    /// THREAT: the page is the predecessor's. Whatever it holds, the successor writes at most kMaxQueued + 1
    /// lines and skips at most one line of input, which a taken-over worker could have done itself.
    Owed take_over();

    /// A request was taken: one line is owed.
    void take() { store(kTaken, ++taken_); }
    /// How far the parser is.
    void input_stopped(Stopped where);
    /// Bytes are about to be written.
    void begin_write() { store(kHalfLine, 1); }
    /// They were: so many line ends among them, and whether the last byte so far is one.
    ///
    /// Between the write and this call, a kill makes the successor end a line that has ended already. An
    /// empty line is less harmful than two replies in one, which the other order would risk.
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
