#include "inspector/os_release.hpp"

#include <algorithm>
#include <optional>

namespace sallyport::inspector {

namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kEscapedInQuotes = "$\"\\`";

std::string_view name_in(std::string_view text) {
    const auto is_in_name = [](char byte) {
        return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
               byte == '_';
    };
    return {text.begin(), std::ranges::find_if_not(text, is_in_name)};
}

// With uniform line ends, and without NUL bytes, which shells drop.
std::string plain(std::string_view raw) {
    if (raw.starts_with(kByteOrderMark)) raw.remove_prefix(kByteOrderMark.size());
    std::string text;
    for (std::size_t at = 0; at < raw.size(); ++at) {
        const bool ends_line = raw[at] == '\r' && (at + 1 == raw.size() || raw[at + 1] == '\n');
        if (raw[at] != '\0' && !ends_line) text += raw[at];
    }
    return text;
}

class Reader {
public:
    explicit Reader(std::string_view text) : left_(text) {}

    OsRelease read() {
        OsRelease found;
        while (!left_.empty()) {
            skip_all_of(" \t\n;");
            const std::string_view name = take_name();
            if (name.empty()) {
                skip_to_line_end();
            } else if (auto value = take_word()) {
                found[std::string(name)] = *std::move(value);
            }
        }
        return found;
    }

private:
    void skip_all_of(std::string_view bytes) {
        left_.remove_prefix(std::min(left_.find_first_not_of(bytes), left_.size()));
    }
    void skip_to_line_end() { left_.remove_prefix(std::min(left_.find('\n'), left_.size())); }
    char take() {
        const char byte = left_.front();
        left_.remove_prefix(1);
        return byte;
    }

    // Takes a name and its '=', and blanks after that if a value follows. Nothing if this is not an assignment.
    std::string_view take_name() {
        const std::string_view name = name_in(left_);
        const std::size_t equals = left_.find_first_not_of(kBlanks, name.size());
        if (equals == left_.npos || left_[equals] != '=') return {};
        left_.remove_prefix(equals + 1);
        const std::string_view value = left_.substr(std::min(left_.find_first_not_of(kBlanks), left_.size()));
        const bool is_next = value.substr(name_in(value).size()).starts_with('=');
        if (!is_next && !value.starts_with('#')) left_ = value;
        return name;
    }

    // Takes a sequence of plain and quoted pieces. Nothing if a quote is not closed; then nothing is left to read.
    std::optional<std::string> take_word() {
        std::string word;
        while (!left_.empty() && !std::string_view(" \t\n;").contains(left_.front())) {
            bool is_whole = true;
            switch (const char byte = take()) {
                case '\'':
                    is_whole = take_single_quoted(word);
                    break;
                case '"':
                    is_whole = take_double_quoted(word);
                    break;
                case '\\':
                    take_escaped(word);
                    break;
                default:
                    word += byte;
            }
            if (!is_whole) return std::nullopt;
        }
        return word;
    }

    void take_escaped(std::string& word) {
        const char byte = left_.empty() ? '\\' : take();
        if (byte != '\n') word += byte;
    }

    bool take_single_quoted(std::string& word) {
        const std::size_t end = left_.find('\'');
        word += left_.substr(0, end);
        const bool is_whole = end != left_.npos;
        left_.remove_prefix(is_whole ? end + 1 : left_.size());
        return is_whole;
    }

    bool take_double_quoted(std::string& word) {
        while (!left_.empty()) {
            const char byte = take();
            if (byte == '"') return true;
            const bool escapes = byte == '\\' && !left_.empty();
            if (escapes && (kEscapedInQuotes.contains(left_.front()) || left_.front() == '\n'))
                take_escaped(word);
            else
                word += byte;
        }
        return false;
    }

    std::string_view left_;
};

}  // namespace

OsRelease read_os_release(std::string_view text) {
    const std::string all = plain(text);
    return Reader(all).read();
}

}  // namespace sallyport::inspector
