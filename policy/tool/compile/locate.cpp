#include "policy/tool/compile/locate.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <charconv>

#include "policy/tool/compile/profiles.hpp"
#include "policy/tool/compile/reader.hpp"

namespace sallyport::policy::compile {

namespace {

constexpr std::string_view kProfilePrefix = "profile:";

const toml::table* rule_at(const toml::table& document, std::uint32_t line) {
    for (const std::string_view effect : {"allow", "deny", "never"})
        if (const toml::array* rules = document[effect].as_array())
            for (const toml::node& rule : *rules)
                if (rule.is_table() && place_of(rule).line == line) return rule.as_table();
    return nullptr;
}

/// The table that holds the key, or as far as there is one.
const toml::table* table_of(const toml::table& rule, const Spot& spot) {
    const toml::node* node = spot.table.empty() ? &rule : rule.get(spot.table);
    if (node == nullptr) return &rule;
    if (const toml::array* list = node->as_array()) node = list->get(spot.entry);
    return node != nullptr && node->is_table() ? node->as_table() : &rule;
}

}  // namespace

Place locate(std::string_view text, const Spot& spot) {
    try {
        const toml::table document = toml::parse(text);
        const toml::table* rule = rule_at(document, spot.rule_line);
        if (rule == nullptr) return {};
        const toml::table* table = table_of(*rule, spot);
        const auto found = table->find(spot.key);
        return found == table->end() ? place_of(*table) : place_of(found->first);
    } catch (const toml::parse_error&) {
        return {};
    }
}

std::uint32_t line_in(std::string_view where) {
    std::uint32_t line = 0;
    const std::size_t colon = where.rfind(':');
    if (colon != where.npos) std::from_chars(where.data() + colon + 1, where.data() + where.size(), line);
    return line;
}

std::string_view source_of(std::string_view where, std::string_view text,
                           const compiled::Fragments& fragments) {
    for (const compiled::Fragments::File& file : fragments.files())
        if (where.starts_with(printable(file.name()) + ":")) return file.text();
    for (const Profile& profile : profiles()) {
        const std::string name = std::string(kProfilePrefix) + std::string(profile.name) + ":";
        if (where.starts_with(name)) return profile.text;
    }
    return text;
}

std::string under_caret(std::string_view text, Place place, std::string_view indent) {
    std::size_t begin = 0;
    for (std::uint32_t line = 1; line < place.line && begin != text.npos; ++line) {
        begin = text.find('\n', begin);
        if (begin != text.npos) ++begin;
    }
    if (begin == text.npos) return "";
    const std::string_view whole = text.substr(begin, std::min(text.find('\n', begin), text.size()) - begin);
    const std::string shown = printable(whole, 160);
    const std::string blanks(place.column - 1, ' ');
    return std::string(indent) + shown + "\n" + std::string(indent) + blanks + "^\n";
}

}  // namespace sallyport::policy::compile
