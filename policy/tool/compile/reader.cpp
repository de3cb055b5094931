#include "policy/tool/compile/reader.hpp"

#include <algorithm>
#include <limits>

#include "policy/tool/compile/problems.hpp"
#include "policy/tool/compile/suggest.hpp"
#include "policy/tool/compile/vocabulary.hpp"

namespace sallyport::policy::compile {

namespace {

std::string_view type_name(const toml::node& node) {
    switch (node.type()) {
        case toml::node_type::table:
            return "a table";
        case toml::node_type::array:
            return "a list";
        case toml::node_type::string:
            return "a string";
        case toml::node_type::integer:
            return "an integer";
        case toml::node_type::floating_point:
            return "a floating-point number";
        case toml::node_type::boolean:
            return "a boolean";
        case toml::node_type::date:
            return "a date";
        case toml::node_type::time:
            return "a time";
        case toml::node_type::date_time:
            return "a date and time";
        case toml::node_type::none:
            break;
    }
    return "nothing";
}

}  // namespace

Place place_of(const toml::node& node) {
    return {node.source().begin.line, node.source().begin.column};
}

Place place_of(const toml::key& key) {
    return {key.source().begin.line, key.source().begin.column};
}

void Reader::only_keys(const toml::table& table, std::span<const std::string_view> known,
                       std::string_view owner) {
    if (listener() != nullptr) listener()->keys[std::string(owner)].assign(known.begin(), known.end());
    for (const auto& [key, value] : table) {
        if (std::ranges::find(known, key.str()) != known.end()) continue;
        problem(place_of(key), "unknown key " + quoted(key.str()) + " in " + std::string(owner) +
                                   did_you_mean(key.str(), known));
    }
}

void Reader::wrong_type(const toml::node& node, std::string_view key, std::string_view expected) {
    problem(place_of(node),
            quoted(key) + " must be " + std::string(expected) + ", not " + std::string(type_name(node)));
}

std::optional<std::string_view> Reader::text(const toml::table& table, std::string_view key) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return std::nullopt;
    if (const auto* string = node->as_string()) return std::string_view(string->get());
    wrong_type(*node, key, "a string");
    return std::nullopt;
}

const toml::array* Reader::list(const toml::table& table, std::string_view key) {
    const toml::node* node = table.get(key);
    if (node == nullptr || node->is_array()) return node == nullptr ? nullptr : node->as_array();
    wrong_type(*node, key, "a list");
    return nullptr;
}

const toml::table* Reader::table(const toml::table& table, std::string_view key) {
    const toml::node* node = table.get(key);
    if (node == nullptr || node->is_table()) return node == nullptr ? nullptr : node->as_table();
    wrong_type(*node, key, "a table");
    return nullptr;
}

std::optional<std::vector<Word>> Reader::words(const toml::table& table, std::string_view key) {
    const toml::array* elements = list(table, key);
    if (elements == nullptr) return std::nullopt;
    if (elements->empty()) {
        problem(place_of(*elements), quoted(key) + " is empty");
        return std::nullopt;
    }
    std::vector<Word> words;
    for (const toml::node& element : *elements) {
        const auto* string = element.as_string();
        if (string == nullptr) {
            wrong_type(element, key, "a list of strings");
            continue;
        }
        const Word word{.text = string->get(), .place = place_of(element)};
        if (std::ranges::find(words, word.text, &Word::text) != words.end()) {
            problem(word.place, quoted(word.text) + " stands twice in " + quoted(key));
            continue;
        }
        words.push_back(word);
    }
    return words;
}

std::optional<int> Reader::choice(const Word& word, std::string_view key, std::span<const Choice> choices) {
    std::vector<std::string_view> known;
    if (listener() != nullptr) {
        auto& words = listener()->words[std::string(key)];
        words.clear();
        for (const Choice& each : choices) words.emplace_back(each.word);
    }
    for (const Choice& each : choices) {
        if (each.word == word.text) return each.value;
        known.push_back(each.word);
    }
    problem(word.place,
            "unknown word " + quoted(word.text) + " for " + quoted(key) + did_you_mean(word.text, known));
    return std::nullopt;
}

std::optional<int> Reader::choice(const toml::table& table, std::string_view key,
                                  std::span<const Choice> choices) {
    const auto word = text(table, key);
    if (!word) return std::nullopt;
    return choice(Word{.text = *word, .place = place_of(*table.get(key))}, key, choices);
}

std::optional<std::uint32_t> Reader::number(const toml::node& node, std::string_view key) {
    const auto* integer = node.as_integer();
    if (integer == nullptr) {
        wrong_type(node, key, "a list of numbers");
        return std::nullopt;
    }
    const std::int64_t value = integer->get();
    if (value >= 0 && value < std::numeric_limits<std::uint32_t>::max())
        return static_cast<std::uint32_t>(value);
    problem(place_of(node), std::to_string(value) + " is out of range for " + quoted(key));
    return std::nullopt;
}

}  // namespace sallyport::policy::compile
