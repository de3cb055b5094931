#include "inspector/text.hpp"

#include <array>
#include <bit>
#include <limits>

namespace sallyport::inspector {

namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
// The smallest code point that needs a sequence of that many bytes.
constexpr std::array<std::uint32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};

struct Sequence {
    std::size_t size = 1;
    bool is_good = false;
};

// A broken sequence is a first byte and its continuation bytes, like in qemu-ga.
Sequence first_sequence(std::string_view text) {
    const auto first = static_cast<unsigned char>(text.front());
    const auto length = static_cast<std::size_t>(std::countl_one(first));
    if (length == 0) return {.size = 1, .is_good = true};
    if (length < 2 || length > 6) return {};
    std::uint32_t value = first & (0x7FU >> length);
    for (std::size_t at = 1; at < length; ++at) {
        const auto byte = at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
        if ((byte & 0xC0U) != 0x80U) return {.size = at};
        value = value << 6U | (byte & 0x3FU);
    }
    const bool is_good = length < kLeast.size() && value >= kLeast[length] && value <= 0x10FFFF &&
                         (value < 0xD800 || value > 0xDFFF);
    return {.size = length, .is_good = is_good};
}

}  // namespace

std::string to_utf8(std::string_view raw) {
    std::string text;
    while (!raw.empty()) {
        const auto [size, is_good] = first_sequence(raw);
        text += is_good ? raw.substr(0, size) : kReplacement;
        raw.remove_prefix(size);
    }
    return text;
}

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    for (std::size_t at = line.find_first_not_of(kBlanks); at != line.npos;) {
        const std::size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
        words.push_back(line.substr(at, end - at));
        at = line.find_first_not_of(kBlanks, end);
    }
    return words;
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

std::vector<std::uint64_t> counters_in(std::span<const std::string_view> words) {
    std::vector<std::uint64_t> counters;
    for (std::string_view word : words) {
        const bool is_negative = word.starts_with('-');
        if (is_negative || word.starts_with('+')) word.remove_prefix(1);
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(word.begin(), word.end(), number);
        if (error == std::errc::invalid_argument || end != word.end()) return counters;
        if (error == std::errc::result_out_of_range)
            counters.push_back(std::numeric_limits<std::uint64_t>::max());
        else
            counters.push_back(is_negative ? 0 - number : number);
    }
    return counters;
}

std::optional<std::uint64_t> number_after(std::string_view name, std::string_view prefix) {
    if (!name.starts_with(prefix)) return std::nullopt;
    return to_number<std::uint64_t>(name.substr(prefix.size()));
}

}  // namespace sallyport::inspector
