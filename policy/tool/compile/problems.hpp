// The errors in a text, with their places.
// Runs in:  the policy tool
#pragma once

#include <cstddef>
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
    /// `name` is the text's file name in messages.
    explicit Problems(std::string_view name);

    void add(Place place, std::string_view text);
    [[nodiscard]] bool is_empty() const { return all_.empty(); }
    [[nodiscard]] const std::string& name() const { return name_; }

    /// One line for each, in the order of the text: NAME:LINE:COLUMN: error: TEXT
    [[nodiscard]] std::string report() const;

private:
    struct Problem {
        Place place;
        std::string text;
    };
    std::string name_;
    std::vector<Problem> all_;
};

/// The first character of a text that is not empty. A byte that is no UTF-8 is one by itself.
struct Character {
    std::size_t size = 1;
    char32_t code = 0;
    bool is_harmless = false;  // a terminal shows just this character
};
Character first_character(std::string_view text);

/// `text` in one line for a terminal: invalid UTF-8, control characters and those that change the direction of writing become
/// \xNN. At most `most` bytes, then "...".
std::string printable(std::string_view text, std::size_t most = 256);

/// The same, between single quotes.
std::string quoted(std::string_view text);

}  // namespace sallyport::policy::compile
