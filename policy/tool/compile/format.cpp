#include "policy/tool/compile/format.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "policy/tool/compile/problems.hpp"

namespace sallyport::policy::compile {

namespace {

enum class Kind : std::uint8_t { kWord, kMark, kComment, kBreak };

struct Token {
    Kind kind;
    std::string_view text;
    bool is_apart = false;  // blanks stand before it
};

constexpr std::string_view kMarks = "[]{},=";
constexpr std::string_view kBlanks = " \t\r";

/// The end of the string that begins at `at`.
std::size_t string_end(std::string_view text, std::size_t at) {
    const char quote = text[at];
    const std::string three(3, quote);
    const bool is_long = text.substr(at).starts_with(three);
    for (std::size_t end = at + (is_long ? 3 : 1); end < text.size(); ++end) {
        if (quote == '"' && text[end] == '\\') {
            ++end;
        } else if (is_long && text.substr(end).starts_with(three)) {
            // Up to two quotes more belong to the string itself.
            end += 3;
            while (end < text.size() && text[end] == quote) ++end;
            return end;
        } else if (!is_long && text[end] == quote) {
            return end + 1;
        }
    }
    return text.size();
}

std::size_t token_end(std::string_view text, std::size_t at) {
    const char c = text[at];
    if (c == '\n' || kMarks.find(c) != kMarks.npos) return at + 1;
    if (c == '#') return std::min(text.find('\n', at), text.size());
    if (c == '"' || c == '\'') return string_end(text, at);
    return std::min(text.find_first_of(" \t\r\n[]{},=#\"'", at), text.size());
}

Kind kind_of(char c) {
    if (c == '\n') return Kind::kBreak;
    if (c == '#') return Kind::kComment;
    return kMarks.find(c) == kMarks.npos ? Kind::kWord : Kind::kMark;
}

std::vector<Token> tokens_of(std::string_view text) {
    std::vector<Token> tokens;
    bool is_apart = false;
    for (std::size_t at = 0; at < text.size();) {
        if (kBlanks.find(text[at]) != kBlanks.npos) {
            is_apart = true;
            ++at;
            continue;
        }
        const std::size_t end = token_end(text, at);
        std::string_view token = text.substr(at, end - at);
        if (token.front() == '#') token = token.substr(0, token.find_last_not_of(kBlanks) + 1);
        tokens.push_back({.kind = kind_of(text[at]), .text = token, .is_apart = is_apart});
        is_apart = false;
        at = end;
    }
    return tokens;
}

/// Puts tokens into lines. A line is open until its break comes.
class Layout {
public:
    std::string of(const std::vector<Token>& tokens) {
        for (const Token& token : tokens) put(token);
        end_line();
        return std::move(text_);
    }

private:
    void put(const Token& token) {
        if (token.kind == Kind::kBreak) return end_line();
        const bool is_first = line_.empty();
        const bool closes = token.text == "]" || token.text == "}";
        if (is_first) {
            is_header_ = depth_ == 0 && token.text == "[";
            indent_ = depth_ - (closes && depth_ > 0 ? 1 : 0);
        }
        if (!is_first && wants_blank(token)) line_ += token.kind == Kind::kComment ? "  " : " ";
        line_ += token.text;
        if (token.text == "[" || token.text == "{") ++depth_;
        if (closes && depth_ > 0) --depth_;
        before_ = token;
    }

    [[nodiscard]] bool wants_blank(const Token& token) const {
        if (token.kind == Kind::kComment) return true;
        if (is_header_) return false;
        if (token.text == "," || token.text == "]" || before_->text == "[") return false;
        if (token.text == "}") return before_->text != "{";
        if (token.kind == Kind::kWord && before_->kind == Kind::kWord) return token.is_apart;
        return true;
    }

    // A header has a blank line before it, or before the comments right above it.
    void end_line() {
        if (line_.empty()) {
            has_gap_ = !text_.empty();
            return;
        }
        if (has_gap_) text_ += "\n";
        const bool is_comment = line_.starts_with('#') && indent_ == 0;
        if (is_header_ && !has_gap_ && !text_.empty() && !is_set_off_)
            text_.insert(comments_at_.value_or(text_.size()), 1, '\n');
        if (!is_comment || has_gap_) comments_at_.reset();
        if (is_comment && !comments_at_) {
            comments_at_ = text_.size();
            is_set_off_ = has_gap_ || text_.empty();
        }
        if (!is_comment) is_set_off_ = false;
        text_.append(4 * indent_, ' ').append(line_).append("\n");
        line_.clear();
        has_gap_ = false;
        is_header_ = false;
    }

    std::string text_;
    std::string line_;
    std::optional<Token> before_;
    std::optional<std::size_t> comments_at_;  // where the comments right above begin
    std::size_t depth_ = 0;
    std::size_t indent_ = 0;
    bool is_header_ = false;
    bool has_gap_ = false;
    bool is_set_off_ = false;  // there is a blank line before these comments, or nothing
};

}  // namespace

std::expected<std::string, std::string> format(std::string_view text, std::string_view name) {
    Problems problems(name);
    try {
        const toml::table before = toml::parse(text);
        std::string laid_out = Layout().of(tokens_of(text));
        if (toml::parse(laid_out) == before) return laid_out;
        problems.add({}, "it cannot be laid out without changing what it says");
    } catch (const toml::parse_error& error) {
        const auto& begin = error.source().begin;
        problems.add({begin.line, begin.column}, error.description());
    }
    return std::unexpected(problems.report());
}

}  // namespace sallyport::policy::compile
