// Makes text from guest users valid for a reply, and parses the words and numbers of /proc and /sys.
// Runs in:  inspector
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::inspector {

/// `raw` as UTF-8: each broken sequence becomes one U+FFFD. Names in the guest can be any bytes.
std::string to_utf8(std::string_view raw);

/// The words between blanks.
std::vector<std::string_view> words_of(std::string_view line);

/// The lines of a text, without line ends.
std::vector<std::string_view> lines_of(std::string_view text);

/// All of `text` as a number.
template <typename Number>
std::optional<Number> to_number(std::string_view text, int base = 10) {
    Number number{};
    const auto [end, error] = std::from_chars(text.begin(), text.end(), number, base);
    if (error != std::errc() || end != text.end()) return std::nullopt;
    return number;
}

/// The numbers at the beginning of `words`. As in scanf(): a sign is allowed, -1 is the largest number, and so is a number that
/// is too large. Nothing is read after a word that is not a number.
std::vector<std::uint64_t> counters_in(std::span<const std::string_view> words);

/// The number that follows `prefix` up to the end of the name: 12 in "cpu12".
std::optional<std::uint64_t> number_after(std::string_view name, std::string_view prefix);

}  // namespace sallyport::inspector
