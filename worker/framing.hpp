// The byte stream of the host taken apart into JSON values, as it comes.
// Runs in:  worker
// Input:    whatever the host sends
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "worker/json_value.hpp"

namespace sallyport::worker {

class Framing {
public:
    enum class Event : std::uint8_t {
        kNothing,  // all input is used up
        kValue,    // document() holds a value
        kError,    // error() says what; what follows is skipped up to a line end or 0xFF
        kReset,    // a byte 0xFF: what came before it in the same value is forgotten
    };

    Framing();
    Framing(const Framing&) = delete;
    Framing& operator=(const Framing&) = delete;
    ~Framing();

    /// Gives more bytes, which must stay where they are until next() has used them up. Only when it has.
    void feed(std::string_view bytes);
    [[nodiscard]] bool has_input() const { return !input_.empty(); }

    /// What comes next in the input. Bytes are looked at once; a value may come in any number of pieces.
    ///
    /// THREAT: a value that never ends, nests without end or is made of millions of tokens. qemu-ga's limits
    /// bound its memory; they are checked as the bytes come.
    Event next();

    /// After kValue, until the next call of next().
    [[nodiscard]] JsonDocument& document();
    /// After kError: the text for the host.
    [[nodiscard]] const std::string& error() const { return error_; }

    /// Whether a value has begun and not ended, and whether the rest of a bad one is being skipped.
    [[nodiscard]] bool is_inside_value() const;
    [[nodiscard]] bool is_skipping() const { return skipping_; }
    /// Goes on as after an error.
    void skip_line() { skipping_ = true; }

private:
    struct Parser;
    void consume(std::size_t count) { input_.remove_prefix(count); }
    [[nodiscard]] std::size_t bytes_before_reset() const;
    void find_reset();
    void skip(std::size_t until);
    Event parse(std::size_t until);
    Event end_value(std::size_t used, char last);
    Event end_scalar();
    Event fail(std::string text);

    std::unique_ptr<Parser> parser_;
    std::string_view input_;
    std::optional<std::size_t> reset_left_;  // input left behind the next 0xFF
    std::string error_;
    bool skipping_ = false;
    bool scalar_waits_ = false;  // a bare word has been read; the next byte tells whether it has ended
};

}  // namespace sallyport::worker
