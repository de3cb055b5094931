#include "tests/support/audit.hpp"

#include <sys/types.h>

#include <sha2.h>

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <fstream>

namespace sallyport::test {

namespace json = boost::json;

std::string hash_of_line(const std::string& line) {
    std::array<char, SHA256_DIGEST_STRING_LENGTH> hex{};
    SHA256Data(reinterpret_cast<const std::uint8_t*>(line.data()), line.size(), hex.data());
    return hex.data();
}

std::vector<std::string> audit_lines(const std::string& file) {
    std::vector<std::string> lines;
    std::ifstream stream(file, std::ios::binary);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

std::vector<json::object> audit_records(const std::string& file) {
    std::vector<json::object> records;
    for (const std::string& line : audit_lines(file)) records.push_back(json::parse(line).as_object());
    return records;
}

std::string text_of(const json::object& record, std::string_view member) {
    const json::value* value = record.if_contains(json::string_view(member.data(), member.size()));
    if (value == nullptr) return {};
    return value->is_string() ? json::value_to<std::string>(*value) : json::serialize(*value);
}

int first_broken_link(const std::vector<std::string>& lines) {
    for (std::size_t at = 1; at < lines.size(); ++at)
        if (text_of(json::parse(lines[at]).as_object(), "prev") != hash_of_line(lines[at - 1]))
            return static_cast<int>(at);
    return -1;
}

}  // namespace sallyport::test
