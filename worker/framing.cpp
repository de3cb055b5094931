#include "worker/framing.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <utility>

#include "ipc/limits.hpp"
#include "worker/json_handler.hpp"

namespace sallyport::worker {

namespace {

constexpr char kResetByte = '\xFF';
constexpr boost::json::parse_options kStrict{.max_depth = kMaxNesting};

bool is_space(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

// Whether a byte right behind a bare number or word makes it another, wrong token.
bool continues_scalar(char byte) {
    const bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    return letter || (byte >= '0' && byte <= '9') || byte == '.' || byte == '+' || byte == '-' || byte == '_';
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
    // Which of the two it is called depends on where the input was cut.
    if (error == boost::json::error::illegal_leading_surrogate ||
        error == boost::json::error::illegal_trailing_surrogate)
        return "JSON parse error, invalid surrogate in string";
    return "JSON parse error, " + error.message();
}

}  // namespace

struct Framing::Parser {
    boost::json::basic_parser<JsonHandler> json{kStrict};

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

bool Framing::is_inside_value() const {
    return parser_->handler().has_begun();
}

void Framing::feed(std::string_view bytes) {
    input_ = bytes;
    find_reset();
}

void Framing::find_reset() {
    const std::size_t at = input_.find(kResetByte);
    reset_left_ = at == input_.npos ? std::nullopt : std::optional(input_.size() - at - 1);
}

std::size_t Framing::bytes_before_reset() const {
    return reset_left_ ? input_.size() - *reset_left_ - 1 : input_.size();
}

void Framing::skip(std::size_t until) {
    const std::size_t line_end = input_.substr(0, until).find('\n');
    skipping_ = line_end == input_.npos;
    consume(skipping_ ? until : line_end + 1);
}

Framing::Event Framing::next() {
    if (parser_->handler().is_complete() && !scalar_waits_) parser_->forget();
    while (!input_.empty()) {
        const std::size_t until = bytes_before_reset();
        if (until == 0) {
            consume(1);
            find_reset();
            parser_->forget();
            skipping_ = false;
            scalar_waits_ = false;
            return Event::kReset;
        }
        if (skipping_) {
            skip(until);
        } else if (scalar_waits_) {
            return end_scalar();
        } else if (const Event event = parse(until); event != Event::kNothing) {
            return event;
        }
    }
    return Event::kNothing;
}

Framing::Event Framing::parse(std::size_t until) {
    boost::json::error_code error;
    const char* begin = input_.data();
    const std::size_t used = parser_->json.write_some(true, begin, until, error);
    const char last = used > 0 ? input_[used - 1] : '\0';
    consume(used);
    if (error) return fail(error_text(parser_->handler().fault(), error));
    if (!parser_->handler().is_complete()) return Event::kNothing;
    return end_value(used, last);
}

Framing::Event Framing::end_value(std::size_t used, char last) {
    parser_->json.reset();
    const JsonKind kind = document().root().kind();
    const bool ends_itself =
        kind == JsonKind::kObject || kind == JsonKind::kArray || kind == JsonKind::kString;
    if (ends_itself || (used > 0 && is_space(last))) return Event::kValue;
    scalar_waits_ = true;
    return Event::kNothing;
}

Framing::Event Framing::end_scalar() {
    scalar_waits_ = false;
    if (continues_scalar(input_.front())) return fail("JSON parse error, invalid word or number");
    return Event::kValue;
}

Framing::Event Framing::fail(std::string text) {
    error_ = std::move(text);
    parser_->forget();
    skipping_ = true;
    return Event::kError;
}

}  // namespace sallyport::worker
