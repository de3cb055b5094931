// Base64, written as everybody does and read as leniently as qemu-ga does.
// Runs in:  worker
// Input:    data strings of the host
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sallyport::worker {

/// How many bytes `text` stands for; nothing if a byte other than A-Z a-z 0-9 + / = and LF is in it.
std::optional<std::size_t> measure_base64(std::string_view text);

/// Decodes a text that was measured, piece by piece, into memory of others.
///
/// Abseil's decoder is not used: it takes white space that qemu-ga refuses and refuses '=' where qemu-ga does
/// not mind. Here LF is ignored anywhere, an incomplete group at the end is dropped, and '=' counts as a
/// digit of value 0 that takes its byte away if it is the third or fourth of its group.
class Base64Decoder {
public:
    Base64Decoder() = default;
    explicit Base64Decoder(std::string_view text) : text_(text) {}

    /// Fills `out`, but for at most two bytes, and says how far; less only at the end of the text.
    std::size_t decode(std::span<std::byte> out);

private:
    std::size_t decode_plain_groups(std::span<std::byte> out);
    /// Takes one character; the bytes that it completes are put in front of `out`.
    std::size_t step(std::span<std::byte> out);

    std::string_view text_;
    std::array<char, 4> group_{};
    std::size_t held_ = 0;
};

/// Encodes data that comes in parts of any size.
class Base64Encoder {
public:
    void append(std::span<const std::byte> data, std::string& out);
    /// The end of the data: what is left, with its padding.
    void finish(std::string& out);

private:
    std::string carry_;    // fewer than three bytes
    std::string scratch_;  // kept for its memory
};

}  // namespace sallyport::worker
