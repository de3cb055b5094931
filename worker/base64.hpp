// Base64: encodes in the standard form, decodes as leniently as qemu-ga.
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

/// The decoded size of `text`; nothing if it contains a byte other than A-Z a-z 0-9 + / = and LF.
std::optional<std::size_t> measure_base64(std::string_view text);

/// Decodes a measured text piece by piece, into the caller's memory.
///
/// Abseil's decoder is not used: it accepts white space that qemu-ga refuses, and refuses '=' where qemu-ga accepts it. Here LF
/// is ignored anywhere, an incomplete group at the end is dropped, and '=' is a digit of value 0 which removes its byte if it is
/// the third or fourth of its group.
class Base64Decoder {
public:
    Base64Decoder() = default;
    explicit Base64Decoder(std::string_view text) : text_(text) {}

    /// Fills `out`, except for at most two bytes, and returns how much; less only at the end of the text.
    std::size_t decode(std::span<std::byte> out);

private:
    std::size_t decode_plain_groups(std::span<std::byte> out);
    /// Takes one character; writes the bytes that it completes to the front of `out`.
    std::size_t step(std::span<std::byte> out);

    std::string_view text_;
    std::array<char, 4> group_{};
    std::size_t held_ = 0;
};

/// Encodes data that comes in parts of any size.
class Base64Encoder {
public:
    void append(std::span<const std::byte> data, std::string& out);
    /// Ends the data: encodes the rest, with padding.
    void finish(std::string& out);

private:
    std::string carry_;    // fewer than three bytes
    std::string scratch_;  // kept to reuse its memory
};

}  // namespace sallyport::worker
