#include "policy/tool/compile/exec_rule.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "ipc/limits.hpp"
#include "policy/exec.hpp"
#include "policy/guest_path.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/compile/suggest.hpp"
#include "policy/tool/compile/units.hpp"

namespace sallyport::policy::compile {

namespace {

using ipc::ExecTemplate;
using ipc::ExecWord;

constexpr std::array<std::string_view, 10> kExecKeys{"program",    "args",   "run_as", "env",
                                                     "host_env",   "input",  "output", "max_runtime",
                                                     "concurrent", "confine"};
constexpr std::array<std::string_view, 4> kWordKeys{"one_of", "int", "under", "name"};
constexpr std::array<std::string_view, 5> kConfineKeys{"network", "no_new_privileges", "write", "memory",
                                                       "tasks"};
constexpr std::string_view kAny = "any";
constexpr std::string_view kWords =
    "a string, { one_of = [\"a\", \"b\"] }, { int = [1, 10] }, { under = \"/DIRECTORY\" } or { name = 64 }";

bool is_plain(std::string_view text) {
    return text.size() <= kMaxExecWord && text.find('\0') == text.npos;
}

// Whether it is an absolute path in its shortest form; otherwise adds a problem that suggests that form.
bool is_path(Reader& reader, std::string_view text, Place place, std::string_view key) {
    const std::string name = quoted(key);
    if (!text.starts_with('/')) {
        reader.problem(place, name + " must be an absolute path");
        return false;
    }
    const auto path = GuestPath::parse(text, "/");
    if (path && path->text() == text) return true;
    reader.problem(place,
                   path ? name + " is not in its shortest form; did you mean " + quoted(path->text()) + "?"
                        : name + " is no path: it is too long or holds a NUL");
    return false;
}

std::optional<std::string_view> plain_text(Reader& reader, const toml::node& node, std::string_view key) {
    const auto* string = node.as_string();
    if (string == nullptr) {
        reader.wrong_type(node, key, "a string");
        return std::nullopt;
    }
    if (is_plain(string->get())) return std::string_view(string->get());
    reader.problem(place_of(node), "a word in " + quoted(key) + " is longer than " +
                                       std::to_string(kMaxExecWord) + " bytes or holds a NUL");
    return std::nullopt;
}

void read_range(Reader& reader, const toml::node& node, ExecWord& to) {
    const toml::array* ends = node.as_array();
    const auto* least = ends != nullptr && ends->size() == 2 ? ends->get(0)->as_integer() : nullptr;
    const auto* most = least != nullptr ? ends->get(1)->as_integer() : nullptr;
    if (most == nullptr)
        return reader.problem(place_of(node),
                              "'int' must be the least and the greatest number, like [1, 10]");
    if (least->get() > most->get())
        return reader.problem(place_of(node), "'int' holds no number; did you mean [" +
                                                  std::to_string(most->get()) + ", " +
                                                  std::to_string(least->get()) + "]?");
    to.mutable_number()->set_least(least->get());
    to.mutable_number()->set_most(most->get());
}

void read_name(Reader& reader, const toml::node& node, ExecWord& to) {
    const auto* most = node.as_integer();
    if (most == nullptr) return reader.wrong_type(node, "name", "the greatest number of bytes, like 64");
    if (most->get() < 1 || most->get() > static_cast<std::int64_t>(kMaxExecWord))
        return reader.problem(place_of(node), "'name' must be from 1 to " + std::to_string(kMaxExecWord));
    to.set_name(static_cast<std::uint32_t>(most->get()));
}

void read_place(Reader& reader, const toml::table& table, ExecWord& to) {
    reader.only_keys(table, kWordKeys, "an element of 'args'");
    if (table.size() != 1)
        return reader.problem(place_of(table), "an element of 'args' is " + std::string(kWords));
    if (const toml::node* node = table.get("int")) return read_range(reader, *node, to);
    if (const toml::node* node = table.get("name")) return read_name(reader, *node, to);
    if (const auto under = reader.text(table, "under"))
        if (is_path(reader, *under, place_of(*table.get("under")), "under"))
            to.set_under(std::string(*under));
    if (const auto words = reader.words(table, "one_of"))
        for (const Word& word : *words) {
            if (!is_plain(word.text))
                reader.problem(word.place, "a word in 'one_of' is too long or holds a NUL");
            to.mutable_one_of()->add_text(std::string(word.text));
        }
}

void read_args(Reader& reader, const toml::table& table, ExecTemplate& to) {
    const toml::node* node = table.get("args");
    if (node == nullptr)
        return reader.problem(place_of(table),
                              "an 'exec' table needs 'args': a list of words, [] for none, or \"any\"");
    if (const auto* text = node->as_string()) {
        if (text->get() == kAny) return to.set_any_args(true);
        return reader.problem(place_of(*node),
                              "'args' is a list with one element for each word, never a line; "
                              "only \"any\" stands alone");
    }
    const toml::array* words = reader.list(table, "args");
    if (words == nullptr) return;
    for (const toml::node& element : *words) {
        if (const toml::table* place = element.as_table()) {
            read_place(reader, *place, *to.add_args());
        } else if (element.is_string()) {
            if (const auto text = plain_text(reader, element, "args"))
                to.add_args()->set_text(std::string(*text));
        } else {
            reader.wrong_type(element, "args", "a list of elements, each " + std::string(kWords));
        }
    }
}

void read_program(Reader& reader, const toml::table& table, ExecTemplate& to) {
    if (!table.contains("program"))
        return reader.problem(place_of(table), "an 'exec' table needs 'program', an absolute path");
    const auto program = reader.text(table, "program");
    if (!program) return;
    const Place place = place_of(*table.get("program"));
    if (*program == kAny) {
        if (!to.any_args())
            reader.problem(place, "'program' is \"any\": then 'args' must be \"any\" as well");
    } else if (is_path(reader, *program, place, "program")) {
        to.set_program(std::string(*program));
    }
}

void read_run_as(Reader& reader, const Passwd& passwd, const toml::table& table, ExecTemplate& to) {
    if (!table.contains("run_as"))
        return reader.problem(place_of(table), "an 'exec' table needs 'run_as', a user, like \"nobody\"");
    const auto name = reader.text(table, "run_as");
    if (!name) return;
    auto ids = passwd.ids_of(*name);
    if (!ids && *name == "root") ids = Passwd::Ids{.uid = 0, .gid = 0, .groups = {0}};
    if (!ids) {
        const auto near = closest(*name, passwd.names());
        return reader.problem(place_of(*table.get("run_as")),
                              "no user " + quoted(*name) + " in /etc/passwd" +
                                  (near ? "; did you mean '" + std::string(*near) + "'?" : ""));
    }
    to.set_uid(ids->uid);
    to.set_gid(ids->gid);
    for (const std::uint32_t group : ids->groups) to.add_groups(group);
}

bool is_env_name(std::string_view name) {
    return !name.empty() && is_plain(name) && name.find('=') == name.npos;
}

void read_env(Reader& reader, const toml::table& table, ExecTemplate& to) {
    const toml::table* env = reader.table(table, "env");
    if (env == nullptr) return;
    for (const auto& [key, value] : *env) {
        const auto text = plain_text(reader, value, "env");
        if (!is_env_name(key.str()))
            reader.problem(place_of(key), quoted(key.str()) + " is no name of a variable");
        if (text) to.add_env(std::string(key.str()) + "=" + std::string(*text));
    }
}

void read_host_env(Reader& reader, const toml::table& table, ExecTemplate& to) {
    const toml::node* node = table.get("host_env");
    if (node == nullptr) return;
    if (const auto* text = node->as_string(); text != nullptr && text->get() == kAny)
        return to.set_any_env(true);
    const auto words = reader.words(table, "host_env");
    if (!words) return;
    for (const Word& word : *words) {
        if (!is_env_name(word.text))
            reader.problem(word.place, quoted(word.text) + " is no name of a variable");
        to.add_host_env(std::string(word.text));
    }
}

struct SizeKey {
    std::string_view name;
    std::uint64_t most;
    std::string_view example;
};

std::optional<std::uint64_t> read_size(Reader& reader, const toml::table& table, const SizeKey& key) {
    const auto text = reader.text(table, key.name);
    if (!text) return std::nullopt;
    const auto size = parse_size(*text);
    if (size && *size <= key.most) return size;
    const auto meant = size ? std::nullopt : suggest_size(*text);
    reader.problem(place_of(*table.get(key.name)), quoted(key.name) + " must be a size like " +
                                                       std::string(key.example) +
                                                       (meant ? "; did you mean \"" + *meant + "\"?" : ""));
    return std::nullopt;
}

void read_runtime(Reader& reader, const toml::table& table, ExecTemplate& to) {
    to.set_max_runtime_ms(kDefaultExecMs);
    const auto text = reader.text(table, "max_runtime");
    if (!text) return;
    const auto duration = parse_duration_ms(*text);
    if (duration && *duration <= kMaxExecMs) return to.set_max_runtime_ms(*duration);
    reader.problem(place_of(*table.get("max_runtime")),
                   "'max_runtime' must be from 1 ms to 24 hours, like \"500ms\", \"30s\" or \"5m\"");
}

/// A number from 1 to `most`, or `otherwise` if the key is missing.
std::uint32_t read_count(Reader& reader, const toml::table& table, std::string_view key, std::uint32_t most,
                         std::uint32_t otherwise) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return otherwise;
    const auto* count = node->as_integer();
    if (count != nullptr && count->get() >= 1 && count->get() <= std::int64_t{most})
        return static_cast<std::uint32_t>(count->get());
    reader.problem(place_of(*node), quoted(key) + " must be a number from 1 to " + std::to_string(most));
    return otherwise;
}

bool read_flag(Reader& reader, const toml::table& table, std::string_view key, bool otherwise) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return otherwise;
    if (const auto* flag = node->as_boolean()) return flag->get();
    reader.wrong_type(*node, key, "true or false");
    return otherwise;
}

void read_write(Reader& reader, const toml::table& confine, ipc::ExecConfine& to) {
    const auto words = reader.words(confine, "write");
    if (!words) return;
    for (const Word& word : *words)
        if (is_path(reader, word.text, word.place, "write")) to.add_write(std::string(word.text));
    const toml::node* node = confine.get("no_new_privileges");
    if (node != nullptr && !to.no_new_privileges())
        reader.problem(place_of(*node),
                       "'write' needs no_new_privileges = true: with new ones it could be put off");
    to.set_no_new_privileges(true);
}

void read_confine(Reader& reader, const toml::table& table, ExecTemplate& to) {
    constexpr std::uint32_t kMostTasks = 1U << 22U;
    const toml::table* confine = reader.table(table, "confine");
    if (confine == nullptr) return;
    reader.only_keys(*confine, kConfineKeys, "'confine'");
    ipc::ExecConfine& terms = *to.mutable_confine();
    terms.set_no_network(!read_flag(reader, *confine, "network", true));
    terms.set_no_new_privileges(read_flag(reader, *confine, "no_new_privileges", false));
    read_write(reader, *confine, terms);
    const auto memory = read_size(
        reader, *confine, {.name = "memory", .most = std::uint64_t{1} << 46U, .example = "\"256MiB\""});
    terms.set_memory(memory.value_or(0));
    terms.set_tasks(read_count(reader, *confine, "tasks", kMostTasks, 0));
}

void read_template(Reader& reader, const Passwd& passwd, const toml::table& table, ExecTemplate& to) {
    reader.only_keys(table, kExecKeys, "an 'exec' table");
    read_args(reader, table, to);
    read_program(reader, table, to);
    read_run_as(reader, passwd, table, to);
    read_env(reader, table, to);
    read_host_env(reader, table, to);
    const auto input = read_size(
        reader, table, {.name = "input", .most = kMaxExecInput, .example = "\"64KiB\", at most 1 MiB"});
    to.set_input(static_cast<std::uint32_t>(input.value_or(0)));
    const auto output = read_size(
        reader, table, {.name = "output", .most = kMaxExecOutput, .example = "\"64KiB\", at most 16 MiB"});
    to.set_output(static_cast<std::uint32_t>(output.value_or(kDefaultExecOutput)));
    read_runtime(reader, table, to);
    to.set_concurrent(read_count(reader, table, "concurrent", kMaxConcurrent, 1));
    read_confine(reader, table, to);
}

}  // namespace

void read_exec(Reader& reader, const Passwd& passwd, const toml::table& rule, compiled::Rule& to) {
    const bool is_allow = to.effect() == compiled::Rule::ALLOW;
    const bool starts =
        std::ranges::find(to.commands(), static_cast<std::uint32_t>(CommandId::kExec)) != to.commands().end();
    const toml::node* node = rule.get("exec");
    if (node == nullptr) {
        if (starts && is_allow)
            reader.problem(
                place_of(*rule.get("commands")),
                "a rule that allows guest-exec must say which programs: [[allow.exec]] with program = "
                "\"/PATH\", args = [] and run_as = \"USER\"");
        return;
    }
    if (!is_allow) return reader.problem(place_of(*node), "'exec' means nothing in a deny rule");
    if (!starts)
        return reader.problem(place_of(*node),
                              "'exec' means nothing here: the rule does not allow guest-exec");
    const toml::array* tables = reader.list(rule, "exec");
    if (tables == nullptr) return;
    if (tables->empty()) reader.problem(place_of(*tables), "'exec' is empty");
    for (const toml::node& element : *tables) {
        if (const toml::table* table = element.as_table())
            read_template(reader, passwd, *table, *to.add_exec());
        else
            reader.wrong_type(element, "exec", "a list of tables, each under [[allow.exec]]");
    }
}

}  // namespace sallyport::policy::compile
