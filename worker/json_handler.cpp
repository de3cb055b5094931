#include "worker/json_handler.hpp"

#include <boost/json/error.hpp>
#include <cstdlib>

#include "ipc/limits.hpp"
#include "worker/utf8.hpp"

namespace sallyport::worker {

namespace {

std::string_view plain(JsonHandler::string_view text) {
    return {text.data(), text.size()};
}

}  // namespace

void JsonHandler::clear() {
    document_.clear();
    tokens_ = 0;
    size_ = 0;
    non_ascii_ = false;
    complete_ = false;
    fault_ = Fault::kNone;
}

bool JsonHandler::refuse(Fault fault, error_code& error) {
    fault_ = fault;
    error = boost::json::error::syntax;
    return false;
}

bool JsonHandler::count(std::size_t tokens, std::size_t bytes, error_code& error) {
    tokens_ += tokens;
    size_ += bytes;
    if (tokens_ > kMaxTokens) return refuse(Fault::kTokens, error);
    if (size_ > kMaxValueSize) return refuse(Fault::kSize, error);
    return true;
}

bool JsonHandler::on_document_begin(error_code&) {
    clear();
    return true;
}

bool JsonHandler::on_document_end(error_code&) {
    return true;
}

bool JsonHandler::open(JsonKind container, error_code& error) {
    if (!count(1, 1, error)) return false;
    document_.open(container);
    return true;
}

// Each member or element was counted with the comma or bracket after it, so only an empty container has a token left.
bool JsonHandler::close(std::size_t members, error_code& error) {
    if (!count(members == 0 ? 1 : 0, 1, error)) return false;
    if (!document_.close(members)) return refuse(Fault::kDuplicateKey, error);
    if (document_.depth() > 0 && !count(1, 0, error)) return false;
    return end_value();
}

bool JsonHandler::on_array_begin(error_code& error) {
    return open(JsonKind::kArray, error);
}
bool JsonHandler::on_array_end(std::size_t members, error_code& error) {
    return close(members, error);
}
bool JsonHandler::on_object_begin(error_code& error) {
    return open(JsonKind::kObject, error);
}
bool JsonHandler::on_object_end(std::size_t members, error_code& error) {
    return close(members, error);
}

bool JsonHandler::add_part(string_view part, error_code& error) {
    if (!count(0, part.size(), error)) return false;
    document_.extend_text(plain(part));
    return true;
}

bool JsonHandler::end_text(string_view part, error_code& error) {
    non_ascii_ = non_ascii_ || has_non_ascii(plain(part));
    if (!add_part(part, error) || !count(1, 2, error)) return false;
    const std::string_view text = document_.new_text();
    if (text.find('\0') != text.npos) return refuse(Fault::kNul, error);
    if (non_ascii_ && has_noncharacter(text)) return refuse(Fault::kNoncharacter, error);
    non_ascii_ = false;
    document_.add_text();
    return true;
}

bool JsonHandler::on_string_part(string_view part, std::size_t, error_code& error) {
    non_ascii_ = non_ascii_ || has_non_ascii(plain(part));
    return add_part(part, error);
}

bool JsonHandler::on_string(string_view part, std::size_t, error_code& error) {
    return end_text(part, error) && count(1, 0, error) && end_value();
}

bool JsonHandler::on_key_part(string_view part, std::size_t size, error_code& error) {
    return on_string_part(part, size, error);
}

bool JsonHandler::on_key(string_view part, std::size_t, error_code& error) {
    return end_text(part, error) && count(1, 1, error);
}

bool JsonHandler::on_number_part(string_view part, error_code& error) {
    return add_part(part, error);
}

bool JsonHandler::on_int64(std::int64_t value, string_view part, error_code& error) {
    document_.drop_new_text();
    document_.add_int(value);
    return count(2, part.size(), error) && end_value();
}

bool JsonHandler::on_uint64(std::uint64_t value, string_view part, error_code& error) {
    document_.drop_new_text();
    document_.add_uint(value);
    return count(2, part.size(), error) && end_value();
}

// The parser's own conversion can be off by a few units in the last place; an `id` must come back unchanged.
bool JsonHandler::on_double(double, string_view part, error_code& error) {
    if (!add_part(part, error)) return false;
    const std::string digits(document_.new_text());
    document_.drop_new_text();
    document_.add_double(std::strtod(digits.c_str(), nullptr));
    return count(2, 0, error) && end_value();
}

bool JsonHandler::on_bool(bool value, error_code& error) {
    document_.add_bool(value);
    return count(2, 4, error) && end_value();
}

bool JsonHandler::on_null(error_code& error) {
    document_.add_null();
    return count(2, 4, error) && end_value();
}

// Comments are not enabled, so the parser never calls these.
bool JsonHandler::on_comment_part(string_view, error_code& error) {
    return refuse(Fault::kNone, error);
}
bool JsonHandler::on_comment(string_view, error_code& error) {
    return refuse(Fault::kNone, error);
}

}  // namespace sallyport::worker
