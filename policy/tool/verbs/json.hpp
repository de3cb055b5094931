// JSON for programs that read what the tool says.
// Runs in:  the policy tool
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::policy::cli {

/// A string. What a terminal would not show as a character is written by its number, as is each byte that is no UTF-8.
std::string json_string(std::string_view text);

/// A list of values that are JSON already.
std::string json_list(const std::vector<std::string>& values);
std::string json_strings(const std::vector<std::string>& texts);

class JsonObject {
public:
    JsonObject& add(std::string_view name, std::string_view text) {
        return add_value(name, json_string(text));
    }
    JsonObject& add(std::string_view name, const char* text) { return add(name, std::string_view(text)); }
    JsonObject& add(std::string_view name, std::uint64_t number) {
        return add_value(name, std::to_string(number));
    }
    JsonObject& add(std::string_view name, bool value) { return add_value(name, value ? "true" : "false"); }
    /// `value` is JSON already.
    JsonObject& add_value(std::string_view name, std::string_view value);
    [[nodiscard]] std::string text() const { return "{" + members_ + "}"; }

private:
    std::string members_;
};

}  // namespace sallyport::policy::cli
