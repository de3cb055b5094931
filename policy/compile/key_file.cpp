#include "policy/compile/key_file.hpp"

#include <glib.h>

#include <array>
#include <memory>

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
struct ListKey {
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
constexpr std::array kLists{
    ListKey{"block-rpcs", [](Options& to, const char* value) { to.add_block_rpcs(value); }},
    ListKey{"allow-rpcs", [](Options& to, const char* value) { to.add_allow_rpcs(value); }},
};
// clang-format on

struct FreeKeyFile {
    void operator()(GKeyFile* file) const { g_key_file_free(file); }
};
struct FreeText {
    void operator()(char* text) const { g_free(text); }
};
struct FreeList {
    void operator()(char** list) const { g_strfreev(list); }
};
using Text = std::unique_ptr<char, FreeText>;

/// One GError at a time; the first one counts.
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
    for (const ListKey& key : kLists) {
        const Text text = read_text(file, key.name, error);
        if (!text) continue;
        const std::unique_ptr<char*, FreeList> names(g_strsplit(text.get(), ",", -1));
        for (char** name = names.get(); *name != nullptr; ++name) key.add(options, *name);
    }
}

}  // namespace

std::expected<compiled::Options, std::string> read_key_file(std::string_view text) {
    const std::unique_ptr<GKeyFile, FreeKeyFile> file(g_key_file_new());
    FirstError error;
    Options options;
    // Keeping translations spares GLib the look for the user's languages, which would read files.
    const bool is_read = g_key_file_load_from_data(file.get(), text.data(), text.size(),
                                                   G_KEY_FILE_KEEP_TRANSLATIONS, error.slot()) != 0;
    if (is_read) read_keys(file.get(), options, error);
    if (error.is_set()) return std::unexpected(error.text());
    return options;
}

std::string key_file_error(std::string_view path, std::string_view text) {
    return "error loading configuration from path: " + std::string(path) + ", " + std::string(text) + "\n";
}

}  // namespace sallyport::policy::compile
