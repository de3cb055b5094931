#include "policy/tool/verbs/json.hpp"

#include <array>
#include <cstdio>

namespace sallyport::policy::cli {

std::string json_string(std::string_view text) {
    std::string quoted = "\"";
    for (const char byte : text) {
        std::array<char, 8> escaped{};
        if (static_cast<unsigned char>(byte) >= 0x20 && byte != '"' && byte != '\\')
            quoted += byte;
        else if (std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned char>(byte)) >
                 0)
            quoted += escaped.data();
    }
    return quoted + "\"";
}

std::string json_list(const std::vector<std::string>& values) {
    std::string text;
    for (const std::string& value : values) text.append(text.empty() ? "" : ",").append(value);
    return "[" + text + "]";
}

std::string json_strings(const std::vector<std::string>& texts) {
    std::vector<std::string> values;
    for (const std::string& text : texts) values.push_back(json_string(text));
    return json_list(values);
}

JsonObject& JsonObject::add_value(std::string_view name, std::string_view value) {
    members_.append(members_.empty() ? "" : ",").append(json_string(name)).append(":").append(value);
    return *this;
}

}  // namespace sallyport::policy::cli
