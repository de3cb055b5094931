#include "worker/framing.hpp"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <optional>
#include <utility>

#include "ipc/limits.hpp"
#include "worker/json_handler.hpp"

namespace sallyport::worker {

namespace {

constexpr char kResetByte = '\xFF';
constexpr std::string_view kValueStarts = "{[\"-0123456789tfn";
constexpr boost::json::parse_options kStrict{.max_depth = kMaxNesting};

// Like in qemu-ga, clients end a line with LF, NUL or any other control byte.
bool ends_line(char byte) {
    return byte >= 0 && byte < ' ' && byte != '\t';
}

bool continues_sequence(char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80;
}

// The UTF-8 sequence at the end of a piece.
struct Sequence {
    std::size_t missing = 0;                 // bytes still to come
    std::optional<std::size_t> breaks = {};  // the place of a byte that does not belong to it
};

// The first `missing` bytes of `piece` belong to a sequence that began earlier.
Sequence last_sequence(std::string_view piece, std::size_t missing) {
    constexpr std::size_t kLongest = 4;
    Sequence last{.missing = missing};
    for (std::size_t at = 0; at < piece.size(); ++at) {
        if (last.missing == 0) at = std::max(at, piece.size() - std::min(piece.size(), kLongest - 1));
        const auto code = static_cast<unsigned char>(piece[at]);
        if (last.missing == 0)
            last.missing = code >= 0xF0 ? 3 : code >= 0xE0 ? 2 : code >= 0xC0 ? 1 : 0;
        else if (continues_sequence(piece[at]))
            --last.missing;
        else
            return {.breaks = at};
    }
    return last;
}

// How much of what the parser has used is right, if it found something else where a hex digit has to be. It looks at four digits at
// once, and then counts those that are right: with a wrong one in front it has gone up to two bytes beyond.
std::size_t before_wrong_digit(std::string_view used) {
    constexpr std::string_view kHexDigits = "0123456789abcdefABCDEF";
    const std::size_t looked_at = std::min<std::size_t>(used.size(), 2);
    return std::min(used.find_first_not_of(kHexDigits, used.size() - looked_at), used.size());
}

bool is_space(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

// Whether a byte directly after a bare number or word makes it a different, invalid token.
bool continues_scalar(char byte) {
    const bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    return letter || (byte >= '0' && byte <= '9') || byte == '.' || byte == '+' || byte == '-' || byte == '_';
}

// Whether a value found on a bad line is answered. Arguments of a lost request are objects, too.
bool is_request(JsonValue value) {
    const auto command = value.member("execute");
    return command && command->kind() == JsonKind::kString;
}

std::string error_text(Fault fault, const boost::json::error_code& error) {
    switch (fault) {
        case Fault::kTokens:
            return "JSON token count limit exceeded";
        case Fault::kSize:
            return "JSON token size limit exceeded";
        case Fault::kDuplicateKey:
            return "JSON parse error, duplicate key";
        case Fault::kNul:
            return "JSON parse error, \\u0000 in string";
        case Fault::kNoncharacter:
            return "JSON parse error, not a character in string";
        case Fault::kNone:
            break;
    }
    if (error == boost::json::error::too_deep) return "JSON nesting depth limit exceeded";
    // Which of the two errors occurs depends on where the input was cut.
    if (error == boost::json::error::illegal_leading_surrogate ||
        error == boost::json::error::illegal_trailing_surrogate)
        return "JSON parse error, invalid surrogate in string";
    return "JSON parse error, " + error.message();
}

}  // namespace

struct Framing::Parser {
    boost::json::basic_parser<JsonHandler> json{kStrict};
    boost::json::error_code error;  // of the last write

    JsonHandler& handler() { return json.handler(); }
    void forget() {
        json.reset();
        handler().clear();
    }
};

Framing::Framing() : parser_(std::make_unique<Parser>()) {
    parser_->json.reset();
}
Framing::~Framing() = default;

JsonDocument& Framing::document() {
    return parser_->handler().document();
}

void Framing::forget() {
    parser_->forget();
    inside_value_ = false;
    missing_ = 0;
}

void Framing::feed(std::string_view bytes) {
    input_ = bytes;
    reset_ = kUnknown;
    line_end_ = kUnknown;
}

std::size_t Framing::bytes_before_reset() {
    if (reset_ > input_.size()) reset_ = input_.size() - std::min(input_.find(kResetByte), input_.size());
    return input_.size() - reset_;
}

std::size_t Framing::bytes_before_line_end() {
    if (line_end_ > input_.size())
        line_end_ = static_cast<std::size_t>(input_.end() - std::ranges::find_if(input_, ends_line));
    return input_.size() - line_end_;
}

Framing::Event Framing::next() {
    if (parser_->handler().is_complete() && !scalar_waits_) forget();
    while (!input_.empty()) {
        const std::size_t until = bytes_before_reset();
        if (until == 0) {
            reset();
            return Event::kReset;
        }
        const Event event = mode_ == Mode::kReading ? read(until) : search(until);
        if (event != Event::kNothing) return event;
    }
    return Event::kNothing;
}

void Framing::reset() {
    consume(1);
    forget();
    mode_ = Mode::kReading;
    scalar_waits_ = false;
}

Framing::Event Framing::read(std::size_t until) {
    return scalar_waits_ ? end_scalar() : parse(until);
}

// Searches a bad line.
Framing::Event Framing::search(std::size_t until) {
    if (mode_ == Mode::kLineEnd) {
        if (ends_line(input_.front()) || is_space(input_.front()))
            consume(1);
        else
            mode_ = Mode::kReading;
        return Event::kNothing;
    }
    const std::size_t line = std::min(until, bytes_before_line_end());
    if (line == 0) {
        end_line();
    } else if (mode_ == Mode::kAttempt) {
        return attempt(line);
    } else {
        skip(line);
    }
    return Event::kNothing;
}

// A control byte inside a value may be its only fault: what follows is the rest of the same line, unless it is an object.
void Framing::end_line() {
    forget();
    const bool goes_on = std::exchange(value_broke_, false) && input_.front() != '\n';
    mode_ = goes_on ? Mode::kResynced : Mode::kLineEnd;
    consume(1);
}

// Up to the next object.
void Framing::skip(std::size_t until) {
    const std::string_view line = input_.substr(0, until);
    const std::size_t brace = std::min(line.find('{'), until);
    const bool only_blanks = std::all_of(line.begin(), line.begin() + brace, is_space);
    consume(brace);
    if (mode_ == Mode::kResynced && only_blanks) {
        if (brace < until) mode_ = Mode::kReading;
    } else {
        mode_ = brace < until ? Mode::kAttempt : Mode::kSkipping;
    }
}

// Returns how many bytes the parser has used. It waits for the last byte of a UTF-8 sequence, even if an earlier byte does not
// belong to it. Such a byte may end the line or begin an attempt, so it is not used.
std::size_t Framing::write(std::size_t until) {
    const std::string_view piece = input_.substr(0, until);
    const Sequence last = last_sequence(piece, missing_);
    const bool breaks_at_once = last.breaks && *last.breaks < missing_;
    parser_->error.clear();
    std::size_t used =
        breaks_at_once ? until : parser_->json.write_some(true, piece.data(), piece.size(), parser_->error);
    if (parser_->error == boost::json::error::expected_hex_digit)
        used = before_wrong_digit(piece.substr(0, used));
    missing_ = used == until ? last.missing : 0;
    if (parser_->error || used < until || !last.breaks) return used;
    parser_->error = boost::json::error::syntax;
    return *last.breaks;
}

Framing::Event Framing::attempt(std::size_t until) {
    consume(write(until));
    const boost::json::error_code error = parser_->error;
    if (!error && !parser_->handler().is_complete()) return Event::kNothing;
    mode_ = Mode::kSkipping;
    if (!error && is_request(document().root())) {
        parser_->json.reset();
        mode_ = Mode::kResynced;
        value_broke_ = false;
        return Event::kValue;
    }
    forget();
    return Event::kNothing;
}

Framing::Event Framing::parse(std::size_t until) {
    note_start(until);
    const std::size_t used = write(until);
    const boost::json::error_code error = parser_->error;
    const std::string_view taken = input_.substr(0, used);
    consume(used);
    if (error) return fail(error_text(parser_->handler().fault(), error));
    if (!parser_->handler().is_complete()) return Event::kNothing;
    return end_value(taken);
}

// Decided by the bytes alone: how far the parser gets before it fails depends on where the input was cut.
void Framing::note_start(std::size_t until) {
    if (inside_value_) return;
    const std::string_view bytes = input_.substr(0, until);
    const auto first = std::ranges::find_if_not(bytes, is_space);
    inside_value_ = first != bytes.end() && kValueStarts.contains(*first);
}

Framing::Event Framing::end_value(std::string_view taken) {
    parser_->json.reset();
    const JsonKind kind = document().root().kind();
    const bool ends_itself =
        kind == JsonKind::kObject || kind == JsonKind::kArray || kind == JsonKind::kString;
    scalar_waits_ = !ends_itself && (taken.empty() || !is_space(taken.back()));
    if (scalar_waits_) return Event::kNothing;
    inside_value_ = false;
    return Event::kValue;
}

Framing::Event Framing::end_scalar() {
    scalar_waits_ = false;
    if (continues_scalar(input_.front())) return fail("JSON parse error, invalid word or number");
    inside_value_ = false;
    return Event::kValue;
}

Framing::Event Framing::fail(std::string text) {
    error_ = std::move(text);
    value_broke_ = inside_value_;
    forget();
    mode_ = Mode::kSkipping;
    return Event::kError;
}

}  // namespace sallyport::worker
