#include "policy/tool/verbs/json.hpp"

#include <array>
#include <cstdio>

#include "policy/tool/compile/problems.hpp"

namespace sallyport::policy::cli {

// A host wrote parts of what is shown, and the reader may be a terminal. What that would not show as a character is written by its number; so
// is a byte that is no UTF-8, as in the log. All of these are below 0x10000.
std::string json_string(std::string_view text) {
    std::string quoted = "\"";
    while (!text.empty()) {
        const auto [size, code, is_harmless] = compile::first_character(text);
        std::array<char, 8> escaped{};
        if (is_harmless && code != '"' && code != '\\')
            quoted += text.substr(0, size);
        else if (std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(code)) > 0)
            quoted += escaped.data();
        text.remove_prefix(size);
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
