#include "policy/tool/compile/file_rule.hpp"

#include <algorithm>
#include <set>
#include <string>

#include "policy/guest_path.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/compile/suggest.hpp"
#include "policy/tool/compile/units.hpp"

namespace sallyport::policy::compile {

namespace {

using File = compiled::FileRule;

constexpr std::array<std::string_view, 9> kAllowKeys{"under", "access",   "max_size", "owner",      "kinds",
                                                     "links", "symlinks", "setid",    "create_mode"};
constexpr std::array<std::string_view, 2> kDenyKeys{"under", "access"};

constexpr std::array kAccess{Choice{"read", File::READ}, Choice{"write", File::WRITE},
                             Choice{"create", File::CREATE}};
constexpr std::array kKinds{Choice{"regular", File::REGULAR},
                            Choice{"directory", File::DIRECTORY},
                            Choice{"fifo", File::FIFO},
                            Choice{"socket", File::SOCKET},
                            Choice{"char", File::CHARACTER_DEVICE},
                            Choice{"block", File::BLOCK_DEVICE}};
constexpr std::array kSymlinks{Choice{"refuse", 0}, Choice{"follow", 1}};
constexpr std::array kLinks{Choice{"single", 0}, Choice{"any", 1}};
constexpr std::array kSetid{Choice{"refuse", 0}, Choice{"any", 1}};

bool is_one_of(std::string_view word, std::span<const std::string_view> words) {
    return std::ranges::find(words, word) != words.end();
}

std::set<int> read_set(Reader& reader, const toml::table& table, std::string_view key,
                       std::span<const Choice> choices) {
    std::set<int> values;
    const auto words = reader.words(table, key);
    if (!words) return values;
    for (const Word& word : *words)
        if (const auto value = reader.choice(word, key, choices)) values.insert(*value);
    return values;
}

void read_keys(Reader& reader, const toml::table& table, bool is_allow) {
    reader.only_keys(table, kAllowKeys, "a file rule");
    if (is_allow) return;
    for (const auto& [key, value] : table)
        if (is_one_of(key.str(), kAllowKeys) && !is_one_of(key.str(), kDenyKeys))
            reader.problem(place_of(key), quoted(key.str()) + " means nothing in a deny rule");
}

void read_under(Reader& reader, const toml::table& table, File& to) {
    if (!table.contains("under"))
        return reader.problem(place_of(table), "a file rule needs 'under', a directory");
    const auto under = reader.text(table, "under");
    if (!under) return;
    const Place place = place_of(*table.get("under"));
    if (!under->starts_with('/')) return reader.problem(place, "'under' must be an absolute path");
    const auto path = GuestPath::parse(*under, "/");
    if (!path) return reader.problem(place, "'under' is no path: it is too long or holds a NUL");
    if (path->text() != *under)
        return reader.problem(
            place, "'under' is not in its shortest form; did you mean " + quoted(path->text()) + "?");
    to.set_under(std::string(*under));
}

void read_access(Reader& reader, const toml::table& table, bool is_allow, File& to) {
    const toml::node* node = table.get("access");
    if (node == nullptr) {
        if (is_allow)
            reader.problem(place_of(table), "a file rule that allows needs 'access', for example [\"read\"]");
        return;
    }
    const std::set<int> access = read_set(reader, table, "access", kAccess);
    if (is_allow && access.contains(File::CREATE) && !access.contains(File::WRITE))
        reader.problem(place_of(*node),
                       "\"create\" needs \"write\" as well: a file is created to be written");
    for (const int each : access) to.add_access(static_cast<File::Access>(each));
}

void read_max_size(Reader& reader, const toml::table& table, File& to) {
    const toml::node* node = table.get("max_size");
    if (node == nullptr) return;
    std::optional<std::uint64_t> size;
    std::string hint =
        "; write a number of bytes above 0, or one with B, KiB, MiB, GiB or TiB like \"256MiB\"";
    if (const auto* integer = node->as_integer()) {
        if (integer->get() > 0) size = static_cast<std::uint64_t>(integer->get());
    } else if (const auto* string = node->as_string()) {
        size = parse_size(string->get());
        if (const auto meant = suggest_size(string->get())) hint = "; did you mean '" + *meant + "'?";
    } else {
        return reader.wrong_type(*node, "max_size", "a number of bytes or a string like \"256MiB\"");
    }
    if (!size) return reader.problem(place_of(*node), "'max_size' is no size" + hint);
    to.set_max_size(*size);
}

void read_create_mode(Reader& reader, const toml::table& table, File& to) {
    const auto text = reader.text(table, "create_mode");
    if (!text) return;
    const Place place = place_of(*table.get("create_mode"));
    const auto mode = parse_mode(*text);
    if (!mode)
        return reader.problem(place,
                              "'create_mode' must be permission bits in octal, from \"0000\" to \"0777\"");
    if (std::ranges::find(to.access(), File::CREATE) == to.access().end())
        return reader.problem(place, "'create_mode' means nothing without \"create\" in 'access'");
    to.set_create_mode(*mode);
}

void read_file(Reader& reader, const Passwd& passwd, const toml::table& table, bool is_allow, File& to) {
    read_keys(reader, table, is_allow);
    read_under(reader, table, to);
    read_access(reader, table, is_allow, to);
    if (!is_allow) return;
    read_max_size(reader, table, to);
    read_create_mode(reader, table, to);
    const toml::node* owner = table.get("owner");
    if (owner != nullptr && owner->is_array() && owner->as_array()->empty())
        reader.problem(place_of(*owner), "'owner' is empty");
    for (const std::uint32_t uid : read_users(reader, passwd, table, "owner")) to.add_owners(uid);
    for (const int kind : read_set(reader, table, "kinds", kKinds))
        to.add_kinds(static_cast<File::Kind>(kind));
    to.set_follow_symlinks(reader.choice(table, "symlinks", kSymlinks).value_or(0) != 0);
    to.set_any_links(reader.choice(table, "links", kLinks).value_or(0) != 0);
    to.set_any_setid(reader.choice(table, "setid", kSetid).value_or(0) != 0);
}

}  // namespace

void read_files(Reader& reader, const Passwd& passwd, const toml::table& rule, compiled::Rule& to) {
    const toml::array* files = reader.list(rule, "files");
    if (files == nullptr) return;
    if (files->empty()) reader.problem(place_of(*files), "'files' is empty");
    for (const toml::node& element : *files) {
        if (const toml::table* table = element.as_table()) {
            read_file(reader, passwd, *table, to.effect() == compiled::Rule::ALLOW, *to.add_files());
        } else {
            reader.wrong_type(element, "files",
                              "a list of tables like { under = \"/srv\", access = [\"read\"] }");
        }
    }
}

std::vector<std::uint32_t> read_users(Reader& reader, const Passwd& passwd, const toml::table& table,
                                      std::string_view key) {
    std::set<std::uint32_t> users;
    const toml::array* elements = reader.list(table, key);
    if (elements == nullptr) return {};
    for (const toml::node& element : *elements) {
        std::optional<std::uint32_t> uid;
        if (const auto* name = element.as_string()) {
            uid = passwd.find(name->get());
            if (!uid) {
                const auto near = closest(name->get(), passwd.names());
                const std::string hint =
                    near ? "; did you mean '" + std::string(*near) + "'?" : ": write its number";
                reader.problem(place_of(element),
                               "no user " + quoted(name->get()) + " in /etc/passwd" + hint);
            }
        } else {
            uid = reader.number(element, key);
        }
        if (uid) users.insert(*uid);
    }
    return {users.begin(), users.end()};
}

}  // namespace sallyport::policy::compile
