#include "worker/json_writer.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "worker/utf8.hpp"

namespace sallyport::worker {

namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";
constexpr std::int32_t kReplacement = 0xFFFD;

bool is_plain(char byte) {
    return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

void append_unit(std::string& out, unsigned unit) {
    out += "\\u";
    for (unsigned shift = 16; shift > 0; shift -= 4) out += kHexDigits[unit >> (shift - 4) & 0xFU];
}

void append_escaped(std::string& out, std::int32_t code_point) {
    switch (code_point) {
        case '"':
            out += "\\\"";
            return;
        case '\\':
            out += "\\\\";
            return;
        case '\b':
            out += "\\b";
            return;
        case '\f':
            out += "\\f";
            return;
        case '\n':
            out += "\\n";
            return;
        case '\r':
            out += "\\r";
            return;
        case '\t':
            out += "\\t";
            return;
        default:
            break;
    }
    const auto value = static_cast<unsigned>(code_point < 0 ? kReplacement : code_point);
    if (value < 0x10000) {
        append_unit(out, value);
    } else {
        append_unit(out, 0xD800U + ((value - 0x10000) >> 10U));
        append_unit(out, 0xDC00U + ((value - 0x10000) & 0x3FFU));
    }
}

template <typename Number>
void append_digits(std::string& out, Number value) {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), value).ptr;
    out.append(digits.begin(), end);
}

// Each call goes one level deeper; the parser limits the depth to kMaxNesting.
void append_members(std::string& out, JsonValue object) {
    std::string_view separator;
    out += '{';
    for_each_member(object, [&](std::string_view name, JsonValue value) {
        out += separator;
        append_string(out, name);
        out += ": ";
        append_value(out, value);
        separator = ", ";
    });
    out += '}';
}

void append_elements(std::string& out, JsonValue array) {
    JsonValue element = array.child();
    out += '[';
    for (std::size_t at = 0; at < array.size(); ++at) {
        if (at > 0) out += ", ";
        append_value(out, element);
        element = element.next();
    }
    out += ']';
}

}  // namespace

void append_string(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        std::size_t plain = 0;
        while (plain < text.size() && is_plain(text[plain])) ++plain;
        out.append(text.substr(0, plain));
        text.remove_prefix(plain);
        if (text.empty()) break;
        const CodePoint point = first_code_point(text);
        append_escaped(out, point.value);
        text.remove_prefix(point.size);
    }
    out += '"';
}

void append_integer(std::string& out, std::int64_t value) {
    append_digits(out, value);
}

void append_unsigned(std::string& out, std::uint64_t value) {
    append_digits(out, value);
}

void append_double(std::string& out, double value) {
    if (std::isinf(value)) {
        out += value < 0 ? "-1e999" : "1e999";
        return;
    }
    std::array<char, 40> digits{};
    const int size = std::snprintf(digits.data(), digits.size(), "%.17g", value);
    out.append(digits.data(), static_cast<std::size_t>(size));
}

void append_value(std::string& out, JsonValue value) {
    switch (value.kind()) {
        case JsonKind::kNull:
            out += "null";
            break;
        case JsonKind::kBool:
            out += value.boolean() ? "true" : "false";
            break;
        case JsonKind::kInt:
            append_integer(out, value.integer());
            break;
        case JsonKind::kUint:
            append_unsigned(out, value.unsigned_integer());
            break;
        case JsonKind::kDouble:
            append_double(out, value.number());
            break;
        case JsonKind::kString:
            append_string(out, value.text());
            break;
        case JsonKind::kArray:
            append_elements(out, value);
            break;
        case JsonKind::kObject:
            append_members(out, value);
            break;
    }
}

}  // namespace sallyport::worker
