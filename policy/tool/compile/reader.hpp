// Typed reading of a parsed TOML text; whatever is unexpected becomes a problem with its place.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <toml++/toml.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/tool/compile/problems.hpp"

namespace sallyport::policy::compile {

/// A word that a key accepts, and its value.
struct Choice {
    std::string_view word;
    int value;
};

/// A string of a list, and its place.
struct Word {
    std::string_view text;
    Place place;
};

Place place_of(const toml::node& node);
Place place_of(const toml::key& key);

/// If a value has the wrong type, each function returns nothing and adds a problem. For a missing key it returns nothing without
/// a problem.
class Reader {
public:
    explicit Reader(Problems& problems) : problems_(problems) {}

    void problem(Place place, std::string_view text) { problems_.add(place, text); }
    [[nodiscard]] const std::string& name() const { return problems_.name(); }

    /// Adds a problem for every key that is not one of `known`. `owner` says whose keys they are: "an allow rule".
    void only_keys(const toml::table& table, std::span<const std::string_view> known, std::string_view owner);

    std::optional<std::string_view> text(const toml::table& table, std::string_view key);
    const toml::array* list(const toml::table& table, std::string_view key);
    const toml::table* table(const toml::table& table, std::string_view key);

    /// The strings of a list, each at most once; an empty list is a problem.
    std::optional<std::vector<Word>> words(const toml::table& table, std::string_view key);

    /// The value of one of `choices`.
    std::optional<int> choice(const toml::table& table, std::string_view key,
                              std::span<const Choice> choices);
    std::optional<int> choice(const Word& word, std::string_view key, std::span<const Choice> choices);

    /// A whole number of 32 bits. 4294967295 is refused: it means nobody for users and anybody for machines.
    std::optional<std::uint32_t> number(const toml::node& node, std::string_view key);

    /// Adds a problem that says which type `key` should have: "a string".
    void wrong_type(const toml::node& node, std::string_view key, std::string_view expected);

private:
    Problems& problems_;
};

}  // namespace sallyport::policy::compile
