#include "policy/tool/compile/freeze_rule.hpp"

#include <array>
#include <string>

#include "ipc/limits.hpp"
#include "policy/guest_path.hpp"
#include "policy/tool/compile/units.hpp"

namespace sallyport::policy::compile {

namespace {

using Selection = ipc::FreezeSelection;

constexpr std::array<std::string_view, 10> kKeys{
    "mounts",          "types",      "sources",   "exclude",        "exclude_types",
    "exclude_sources", "max_frozen", "per_mount", "already_frozen", "hooks"};
constexpr std::array kAlreadyFrozen{Choice{"skip", 0}, Choice{"fail", 1}};

bool is_plain_path(std::string_view text) {
    const auto path = GuestPath::parse(text, "/");
    return text.starts_with('/') && path && path->text() == text;
}

struct ListKey {
    std::string_view name;
    bool is_path;
    std::string* (Selection::*add)();
};
constexpr std::array kLists{
    ListKey{"mounts", true, &Selection::add_mounts},
    ListKey{"types", false, &Selection::add_types},
    ListKey{"sources", false, &Selection::add_sources},
    ListKey{"exclude", true, &Selection::add_exclude},
    ListKey{"exclude_types", false, &Selection::add_exclude_types},
    ListKey{"exclude_sources", false, &Selection::add_exclude_sources},
};

void read_list(Reader& reader, const toml::table& table, const ListKey& key, Selection& to) {
    const auto words = reader.words(table, key.name);
    if (!words) return;
    for (const Word& word : *words) {
        if (key.is_path && !is_plain_path(word.text))
            reader.problem(word.place, "'" + std::string(key.name) +
                                           "' must have mount points: absolute paths in their shortest form");
        else if (word.text.empty() || word.text.size() > kMaxPath)
            reader.problem(word.place,
                           "'" + std::string(key.name) + "' has a text that is empty or too long");
        else
            *(to.*key.add)() = word.text;
    }
}

/// The milliseconds of `key`, or `otherwise` if the key is missing.
std::uint32_t read_duration(Reader& reader, const toml::table& table, std::string_view key,
                            std::uint32_t otherwise) {
    const auto text = reader.text(table, key);
    if (!text) return otherwise;
    const auto duration = parse_duration_ms(*text);
    if (!duration || *duration > kMaxFrozenMs) {
        reader.problem(
            place_of(*table.get(key)),
            "'" + std::string(key) + "' must be from 1 ms to an hour, like \"500ms\", \"60s\" or \"5m\"");
        return otherwise;
    }
    return *duration;
}

void read_hooks(Reader& reader, const toml::table& table, compiled::Rule& to) {
    const auto hooks = reader.text(table, "hooks");
    if (!hooks) return;
    if (!is_plain_path(*hooks))
        return reader.problem(place_of(*table.get("hooks")),
                              "'hooks' must be a directory: an absolute path in its shortest form");
    to.set_hooks(std::string(*hooks));
}

}  // namespace

void read_freeze(Reader& reader, const toml::table& rule, compiled::Rule& to) {
    const toml::table* table = reader.table(rule, "freeze");
    if (table == nullptr) return;
    reader.only_keys(*table, kKeys, "'freeze'");
    Selection& selection = *to.mutable_freeze();
    for (const ListKey& key : kLists) read_list(reader, *table, key, selection);
    selection.set_max_frozen_ms(read_duration(reader, *table, "max_frozen", kDefaultMaxFrozenMs));
    selection.set_per_mount_ms(read_duration(reader, *table, "per_mount", kDefaultPerMountMs));
    selection.set_fail_if_frozen(reader.choice(*table, "already_frozen", kAlreadyFrozen).value_or(0) != 0);
    read_hooks(reader, *table, to);
    if (selection.ByteSizeLong() > kMaxFrame / 2) reader.problem(place_of(*table), "'freeze' is too long");
}

}  // namespace sallyport::policy::compile
