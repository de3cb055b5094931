// Splits the host's byte stream into JSON values, as it comes.
// Runs in:  worker
// Input:    whatever the host sends
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "worker/json_value.hpp"

namespace sallyport::worker {

class Framing {
public:
    enum class Event : std::uint8_t {
        kNothing,  // all input is used up
        kValue,    // document() has a value
        kError,  // error() has the text; the rest of the line is searched for requests without further errors
        kReset,  // a byte 0xFF: the unfinished value before it is dropped
    };

    Framing();
    Framing(const Framing&) = delete;
    Framing& operator=(const Framing&) = delete;
    ~Framing();

    /// Gives more input, which must not move until next() has used it up. Only after the previous input is used up.
    void feed(std::string_view bytes);
    [[nodiscard]] bool has_input() const { return !input_.empty(); }

    /// The next event in the input. Each byte is looked at once; a value may come in any number of pieces.
    ///
    /// After an error there is no further error up to a line end (any control byte but TAB) or 0xFF. Clients that never send a
    /// line end still work: each '{' on the way starts an attempt, and one that becomes a whole request is a value like any
    /// other.
    ///
    /// THREAT: a value that never ends, nests without end or has millions of tokens. qemu-ga's limits bound its memory; they are
    /// checked as the bytes come.
    /// THREAT: garbage causes many error lines, or takes much time. A bad line causes one error line, and one reply for each
    /// request in it. A failed attempt is not read again: the search continues after it.
    Event next();

    /// After kValue, until the next call of next().
    [[nodiscard]] JsonDocument& document();
    /// After kError: the text for the host.
    [[nodiscard]] const std::string& error() const { return error_; }

    /// Whether a value has begun and not ended; and whether the rest of a bad line is being searched.
    [[nodiscard]] bool is_inside_value() const { return inside_value_; }
    [[nodiscard]] bool is_skipping() const { return mode_ != Mode::kReading && mode_ != Mode::kLineEnd; }
    /// Continues as after an error.
    void skip_line() { mode_ = Mode::kSkipping; }

private:
    struct Parser;
    enum class Mode : std::uint8_t {
        kReading,
        kSkipping,  // on a bad line, which was answered
        kAttempt,   // on a bad line, in an object that may become a request
        kResynced,  // on a bad line, just after a request: a following object is read as on a good line
        kLineEnd,   // after the end of a bad line; further control bytes belong to it
    };
    /// The place of a byte that was searched for, so that nothing is searched twice: how much input is left from it on, 0 if
    /// there is none. More than the input has: unknown.
    using Border = std::size_t;
    static constexpr Border kUnknown = static_cast<Border>(-1);

    void consume(std::size_t count) { input_.remove_prefix(count); }
    std::size_t bytes_before_reset();
    std::size_t bytes_before_line_end();
    void forget();
    void reset();
    Event read(std::size_t until);
    Event search(std::size_t until);
    void end_line();
    void skip(std::size_t until);
    std::size_t write(std::size_t until);
    Event attempt(std::size_t until);
    Event parse(std::size_t until);
    void note_start(std::size_t until);
    Event end_value(std::string_view taken);
    Event end_scalar();
    Event fail(std::string text);

    std::unique_ptr<Parser> parser_;
    std::string_view input_;
    Border reset_ = kUnknown;     // the next 0xFF
    Border line_end_ = kUnknown;  // the next control byte; only searched for on bad lines
    std::string error_;
    Mode mode_ = Mode::kReading;
    std::size_t missing_ = 0;    // bytes of a UTF-8 sequence in a value still to come
    bool inside_value_ = false;  // a value has begun and was not returned yet
    bool value_broke_ = false;   // the line is bad from the middle of a value on
    bool scalar_waits_ = false;  // a bare word has been read; the next byte shows whether it has ended
};

}  // namespace sallyport::worker
