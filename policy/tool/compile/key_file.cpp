#include "policy/tool/compile/key_file.hpp"

#include <glib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "policy/tool/compile/problems.hpp"
#include "policy/tool/compile/suggest.hpp"

namespace sallyport::policy::compile {

namespace {

using compiled::Options;

constexpr const char* kGroup = "general";

struct TextKey {
    const char* name;
    void (*set)(Options&, const char*);
};
struct FlagKey {
    const char* name;
    void (*set)(Options&, bool);
};
struct ListOption {
    const char* name;
    void (*add)(Options&, const char*);
};

// clang-format off
constexpr std::array kTexts{
    TextKey{"method", [](Options& to, const char* value) { to.set_method(value); }},
    TextKey{"path", [](Options& to, const char* value) { to.set_path(value); }},
    TextKey{"logfile", [](Options& to, const char* value) { to.set_logfile(value); }},
    TextKey{"pidfile", [](Options& to, const char* value) { to.set_pidfile(value); }},
    TextKey{"statedir", [](Options& to, const char* value) { to.set_statedir(value); }},
    TextKey{"fsfreeze-hook", [](Options& to, const char* value) { to.set_fsfreeze_hook(value); }},
    TextKey{"policy", [](Options& to, const char* value) { to.set_policy(value); }},
};
constexpr std::array kFlags{
    FlagKey{"daemon", [](Options& to, bool value) { to.set_daemon(value); }},
    FlagKey{"verbose", [](Options& to, bool value) { to.set_verbose(value); }},
    FlagKey{"retry-path", [](Options& to, bool value) { to.set_retry_path(value); }},
};
constexpr std::array kOptionLists{
    ListOption{"blacklist", [](Options& to, const char* value) { to.add_block_rpcs(value); }},
    ListOption{"block-rpcs", [](Options& to, const char* value) { to.add_block_rpcs(value); }},
    ListOption{"allow-rpcs", [](Options& to, const char* value) { to.add_allow_rpcs(value); }},
};
// clang-format on

struct FreeKeyFile {
    void operator()(GKeyFile* file) const { g_key_file_free(file); }
};
struct FreeText {
    void operator()(char* text) const { g_free(text); }
};
using Text = std::unique_ptr<char, FreeText>;

/// Holds one GError; the first error is kept.
class FirstError {
public:
    ~FirstError() { g_clear_error(&error_); }
    FirstError() = default;
    FirstError(const FirstError&) = delete;
    FirstError& operator=(const FirstError&) = delete;
    GError** slot() { return &error_; }
    [[nodiscard]] bool is_set() const { return error_ != nullptr; }
    [[nodiscard]] std::string text() const { return error_->message; }

private:
    GError* error_ = nullptr;
};

Text read_text(GKeyFile* file, const char* key, FirstError& error) {
    if (error.is_set() || g_key_file_has_key(file, kGroup, key, nullptr) == 0) return nullptr;
    return Text(g_key_file_get_string(file, kGroup, key, error.slot()));
}

void read_keys(GKeyFile* file, Options& options, FirstError& error) {
    for (const TextKey& key : kTexts)
        if (const Text text = read_text(file, key.name, error)) key.set(options, text.get());
    for (const FlagKey& key : kFlags) {
        if (error.is_set() || g_key_file_has_key(file, kGroup, key.name, nullptr) == 0) continue;
        key.set(options, g_key_file_get_boolean(file, kGroup, key.name, error.slot()) != 0);
    }
    for (const ListOption& key : kOptionLists) {
        if (const Text text = read_text(file, key.name, error)) key.add(options, text.get());
    }
}

struct Key {
    std::string_view group;
    std::string_view name;
    bool operator==(const Key&) const = default;
};

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kSurrounding = " \t\r";
    const std::size_t begin = std::min(text.find_first_not_of(kSurrounding), text.size());
    return text.substr(begin, text.find_last_not_of(kSurrounding) + 1 - begin);
}

// Every line of a key file that GLib can read, in order, including those that a later line overrides.
std::vector<Key> keys_of(std::string_view text) {
    std::vector<Key> keys;
    std::string_view group;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty() || line.starts_with('#')) continue;
        if (line.starts_with('['))
            group = line.substr(1, std::min(line.find(']'), line.size()) - 1);
        else
            keys.push_back({group, trimmed(line.substr(0, line.find('=')))});
    }
    return keys;
}

}  // namespace

std::expected<compiled::Options, std::string> read_key_file(std::string_view text) {
    const std::unique_ptr<GKeyFile, FreeKeyFile> file(g_key_file_new());
    FirstError error;
    Options options;
    // Otherwise GLib would look up the user's languages, which reads files.
    const bool is_read = g_key_file_load_from_data(file.get(), text.data(), text.size(),
                                                   G_KEY_FILE_KEEP_TRANSLATIONS, error.slot()) != 0;
    if (is_read) read_keys(file.get(), options, error);
    if (error.is_set()) return std::unexpected(error.text());
    for (const ListOption& list : kOptionLists)
        if (std::ranges::count(keys_of(text), Key{kGroup, list.name}) > 1)
            return std::unexpected("Key file has the list '" + std::string(list.name) + "' twice");
    return options;
}

std::vector<std::string> ignored_keys(std::string_view text) {
    std::vector<std::string_view> known;
    for (const TextKey& key : kTexts) known.emplace_back(key.name);
    for (const FlagKey& key : kFlags) known.emplace_back(key.name);
    for (const ListOption& key : kOptionLists) known.emplace_back(key.name);
    std::vector<std::string> ignored;
    std::vector<std::string_view> groups{kGroup};
    for (const auto& [group, key] : keys_of(text)) {
        if (group == kGroup && key == "blacklist")
            ignored.emplace_back("the key 'blacklist' is the old name of 'block-rpcs', and is taken as that");
        if (group == kGroup && std::ranges::find(known, key) == known.end())
            ignored.push_back("the key '" + printable(key) + "' is unknown and ignored" +
                              did_you_mean(key, known));
        if (std::ranges::find(groups, group) != groups.end()) continue;
        groups.push_back(group);
        ignored.push_back("the group [" + printable(group) + "] is ignored; all keys belong to [general]");
    }
    return ignored;
}

std::string key_file_error(std::string_view path, std::string_view text) {
    return "error loading configuration from path: " + printable(path) + ", " + printable(text) + "\n";
}

}  // namespace sallyport::policy::compile
