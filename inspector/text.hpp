// Text of the guest's users made fit for a reply, and the words and numbers of /proc and /sys.
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

/// `raw` as UTF-8: what is not becomes U+FFFD, one for each broken sequence. Names in the guest are any bytes.
std::string to_utf8(std::string_view raw);

/// The words between blanks.
std::vector<std::string_view> words_of(std::string_view line);

/// The lines of a text, without their ends.
std::vector<std::string_view> lines_of(std::string_view text);

/// The whole of `text` as a number.
template <typename Number>
std::optional<Number> to_number(std::string_view text, int base = 10) {
    Number number{};
    const auto [end, error] = std::from_chars(text.begin(), text.end(), number, base);
    if (error != std::errc() || end != text.end()) return std::nullopt;
    return number;
}

/// The counters that `words` begins with. As scanf() reads them: a sign may stand in front, where -1 is the largest number
/// and one that is too large is that, too. What follows a word that is no number is not looked at.
std::vector<std::uint64_t> counters_in(std::span<const std::string_view> words);

/// The number after `prefix`, which must be all of the name: 12 in "cpu12".
std::optional<std::uint64_t> number_after(std::string_view name, std::string_view prefix);

}  // namespace sallyport::inspector
