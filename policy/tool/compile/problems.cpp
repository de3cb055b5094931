#include "policy/tool/compile/problems.hpp"

#include <algorithm>
#include <array>
#include <tuple>

namespace sallyport::policy::compile {

namespace {

constexpr std::size_t kMaxReported = 50;

constexpr std::size_t kMaxProblem = 1024;  // a sentence of ours and its quotation

// The size of the character at the beginning of `text`; 0 if it is not UTF-8.
std::size_t character_size(std::string_view text, char32_t& character) {
    struct Form {
        unsigned mask, lead;
        char32_t least;
    };
    static constexpr std::array kForms{Form{0x80, 0x00, 0}, Form{0xE0, 0xC0, 0x80}, Form{0xF0, 0xE0, 0x800},
                                       Form{0xF8, 0xF0, 0x10000}};
    const auto byte = [&](std::size_t at) {
        return static_cast<unsigned>(static_cast<unsigned char>(text[at]));
    };
    for (std::size_t more = 0; more < kForms.size() && more < text.size(); ++more) {
        const auto [mask, lead, least] = kForms[more];
        if ((byte(0) & mask) != lead) continue;
        character = byte(0) & ~mask & 0xFFU;
        for (std::size_t at = 1; at <= more; ++at) {
            if ((byte(at) & 0xC0U) != 0x80U) return 0;
            character = character << 6U | (byte(at) & 0x3FU);
        }
        const bool is_one =
            character >= least && character <= 0x10FFFF && (character < 0xD800 || character > 0xDFFF);
        return is_one ? more + 1 : 0;
    }
    return 0;
}

// Whether a terminal shows just a character: no control characters, including those above 0x7F, and none that changes the
// direction of writing.
bool is_harmless(char32_t c) {
    const bool is_control = c < 0x20 || (c >= 0x7F && c < 0xA0);
    const bool is_line_end = c == 0x2028 || c == 0x2029;
    const bool turns = c == 0x200E || c == 0x200F || c == 0x061C || (c >= 0x202A && c <= 0x202E) ||
                       (c >= 0x2066 && c <= 0x2069);
    return !is_control && !is_line_end && !turns && c != 0xFEFF;
}

std::string escaped(std::string_view bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        text.append("\\x").append(1, kDigits[byte >> 4U]).append(1, kDigits[byte & 0xFU]);
    }
    return text;
}

}  // namespace

Problems::Problems(std::string_view name) : name_(printable(name)) {}

void Problems::add(Place place, std::string_view text) {
    all_.push_back({place, printable(text, kMaxProblem)});
}

std::string Problems::report() const {
    std::vector<Problem> sorted = all_;
    std::ranges::stable_sort(sorted, {}, [](const Problem& problem) {
        return std::tuple(problem.place.line, problem.place.column);
    });
    std::string lines;
    for (std::size_t at = 0; at < std::min(sorted.size(), kMaxReported); ++at) {
        const auto& [place, text] = sorted[at];
        lines += name_ + ":" + std::to_string(place.line) + ":" + std::to_string(place.column) +
                 ": error: " + text + "\n";
    }
    if (sorted.size() > kMaxReported)
        lines += name_ + ": " + std::to_string(sorted.size() - kMaxReported) + " more errors are not shown\n";
    return lines;
}

Character first_character(std::string_view text) {
    char32_t code = 0;
    const std::size_t size = character_size(text, code);
    if (size == 0) return {.size = 1, .code = static_cast<unsigned char>(text.front()), .is_harmless = false};
    return {.size = size, .code = code, .is_harmless = is_harmless(code)};
}

std::string printable(std::string_view text, std::size_t most) {
    std::string result;
    while (!text.empty()) {
        const Character first = first_character(text);
        const std::string_view bytes = text.substr(0, first.size);
        const std::string shown = first.is_harmless ? std::string(bytes) : escaped(bytes);
        if (result.size() + shown.size() > most) return result + "...";
        result += shown;
        text.remove_prefix(bytes.size());
    }
    return result;
}

std::string quoted(std::string_view text) {
    return "'" + printable(text) + "'";
}

}  // namespace sallyport::policy::compile
