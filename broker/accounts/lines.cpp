// The lines of an authorized_keys: which are keys, and what becomes of them. Pure.
// Runs in:  a child of the launcher, as a user
// Input:    the text of his file, and keys that a host may add or remove
#include "broker/accounts/lines.hpp"

#include <algorithm>
#include <array>
#include <ranges>

namespace sallyport::accounts {

namespace {

// What GLib takes for blanks.
std::string_view stripped(std::string_view line) {
    constexpr std::string_view kBlanks = " \t\n\f\r";
    const std::size_t begin = std::min(line.find_first_not_of(kBlanks), line.size());
    line.remove_prefix(begin);
    return line.substr(0, line.find_last_not_of(kBlanks) + 1);
}

bool is_key(std::string_view line) {
    const std::string_view text = stripped(line);
    return !text.empty() && text.front() != '#';
}

// How many bytes the character in front has; 0 if they are no UTF-8.
std::size_t character_size(std::string_view text) {
    struct Form {
        unsigned mask, lead, least;
    };
    static constexpr std::array kForms{Form{0x80, 0x00, 0}, Form{0xE0, 0xC0, 0x80}, Form{0xF0, 0xE0, 0x800},
                                       Form{0xF8, 0xF0, 0x10000}};
    const auto byte = [&](std::size_t at) { return unsigned{static_cast<unsigned char>(text[at])}; };
    for (std::size_t more = 0; more < kForms.size() && more < text.size(); ++more) {
        const auto [mask, lead, least] = kForms.at(more);
        if ((byte(0) & mask) != lead) continue;
        unsigned code = byte(0) & ~mask & 0xFFU;
        for (std::size_t at = 1; at <= more; ++at) {
            if ((byte(at) & 0xC0U) != 0x80U) return 0;
            code = code << 6U | (byte(at) & 0x3FU);
        }
        return code >= least && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF) ? more + 1 : 0;
    }
    return 0;
}

std::string as_utf8(std::string_view text) {
    std::string shown;
    while (!text.empty()) {
        const std::size_t size = character_size(text);
        shown += size > 0 ? text.substr(0, size) : std::string_view("\uFFFD");
        text.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return shown;
}

bool has(const Lines& lines, std::string_view line) {
    return std::ranges::find(lines, line) != lines.end();
}

}  // namespace

Lines split(std::string_view text) {
    Lines lines;
    if (text.empty()) return lines;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        lines.emplace_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return lines;
}

std::string join(const Lines& lines) {
    std::string text;
    for (std::size_t at = 0; at < lines.size(); ++at) text.append(at == 0 ? "" : "\n").append(lines[at]);
    return text;
}

Lines shown_of(const Lines& lines) {
    Lines keys;
    for (const std::string& line : lines | std::views::reverse)
        if (is_key(line)) keys.push_back(as_utf8(stripped(line)));
    return keys;
}

std::size_t count_keys(const Lines& lines) {
    return static_cast<std::size_t>(std::ranges::count_if(lines, is_key));
}

bool add(Lines& lines, const Lines& keys) {
    const std::size_t before = count_keys(lines);
    for (const std::string& key : keys)
        if (!has(lines, key)) lines.push_back(key);
    return count_keys(lines) > before;
}

void remove(Lines& lines, const Lines& keys) {
    std::erase_if(lines, [&](const std::string& line) { return has(keys, line); });
}

}  // namespace sallyport::accounts
