#include "worker/utf8.hpp"

#include <array>
#include <bit>
#include <cstring>

namespace sallyport::worker {

namespace {

constexpr std::uint8_t kHighBit = 0x80;
// The smallest code point that needs a sequence of that many bytes.
constexpr std::array<std::int64_t, 7> kLeast{0, 0, 0x80, 0x800, 0x10000, 0x200000, 0x4000000};

bool is_character(std::int64_t value) {
    if (value > 0x10FFFF) return false;
    if (value >= 0xD800 && value <= 0xDFFF) return false;
    if (value >= 0xFDD0 && value <= 0xFDEF) return false;
    return (value & 0xFFFE) != 0xFFFE;
}

}  // namespace

CodePoint first_code_point(std::string_view text) {
    const auto first = static_cast<std::uint8_t>(text.front());
    if (first < kHighBit) return {.value = first, .size = 1};
    const auto length = static_cast<std::size_t>(std::countl_one(first));
    if (length < 2 || length > 6) return {.size = 1};
    std::int64_t value = first & (0x7FU >> length);
    for (std::size_t at = 1; at < length; ++at) {
        const auto byte = at < text.size() ? static_cast<std::uint8_t>(text[at]) : std::uint8_t{0};
        if ((byte & 0xC0U) != kHighBit) return {.size = at};
        value = value << 6U | (byte & 0x3FU);
    }
    const bool overlong = value < kLeast[length] && !(value == 0 && length == 2);
    if (overlong || !is_character(value)) return {.size = length};
    return {.value = static_cast<std::int32_t>(value), .size = length};
}

bool has_noncharacter(std::string_view text) {
    while (!text.empty()) {
        const CodePoint point = first_code_point(text);
        if (point.value < 0) return true;
        text.remove_prefix(point.size);
    }
    return false;
}

bool has_non_ascii(std::string_view text) {
    constexpr std::uint64_t kHighBits = 0x8080808080808080U;
    std::uint64_t seen = 0;
    while (text.size() >= sizeof seen) {
        std::uint64_t eight = 0;
        std::memcpy(&eight, text.data(), sizeof eight);
        seen |= eight;
        text.remove_prefix(sizeof eight);
    }
    for (const char one : text) seen |= static_cast<std::uint8_t>(one);
    return (seen & kHighBits) != 0;
}

}  // namespace sallyport::worker
