// What is wrong with a text, place by place.
// Runs in:  the policy tool
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::policy::compile {

struct Place {
    std::uint32_t line = 1;
    std::uint32_t column = 1;  // in characters, not bytes
};

class Problems {
public:
    /// `name` is shown as the text's file name.
    explicit Problems(std::string_view name);

    void add(Place place, std::string_view text);
    [[nodiscard]] bool is_empty() const { return all_.empty(); }
    [[nodiscard]] const std::string& name() const { return name_; }

    /// One line each, in the order of the text: NAME:LINE:COLUMN: error: TEXT
    [[nodiscard]] std::string report() const;

private:
    struct Problem {
        Place place;
        std::string text;
    };
    std::string name_;
    std::vector<Problem> all_;
};

/// `text` with a '?' for each control character, so that a file cannot write escapes on a terminal.
std::string printable(std::string_view text);

/// `name` with a '?' for each byte that is not printable ASCII, and not overly long.
std::string printable_name(std::string_view name);

}  // namespace sallyport::policy::compile
