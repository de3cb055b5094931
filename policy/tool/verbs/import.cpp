// import: a policy that allows what a qemu-ga was left to do, by its configuration file, its environment file or its lists. What cannot be made
// safe without knowing more than these files say is marked in the policy, and said.
#include "policy/tool/verbs/import.hpp"

#include <algorithm>
#include <array>
#include <sstream>

#include "ipc/limits.hpp"
#include "policy/tool/compile/format.hpp"
#include "policy/tool/compile/key_file.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/json.hpp"
#include "policy/tool/verbs/policies.hpp"
#include "policy/tool/verbs/verb.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr int kNotSafe = 3;
constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
    return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines.push_back(trimmed(text.substr(0, end)));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

// A key file has a group in front of its first key.
bool is_key_file(std::string_view text) {
    for (const std::string_view line : lines_of(text))
        if (!line.empty() && !line.starts_with('#')) return line.starts_with('[');
    return false;
}

bool read_key_file(std::string_view text, const std::string& name, Options& options) {
    const auto from_file = compile::read_key_file(text);
    if (!from_file) return complain(compile::key_file_error(name, from_file.error())), false;
    merge(*from_file, options);
    for (const std::string& ignored : compile::ignored_keys(text)) options.warnings.push_back(ignored);
    return true;
}

void read_words(std::string_view name, std::string_view value, Options& options) {
    std::vector<std::string> words{"qemu-ga"};
    std::istringstream stream{std::string(value)};
    for (std::string word; stream >> word;) words.push_back(word);
    if (read_command_line(words, options) != Action::kServe)
        options.warnings.push_back("the words of " + std::string(name) +
                                   " are not all options of qemu-ga; the rest of them is not taken over");
}

// One NAME=VALUE of an environment file, as RHEL's /etc/sysconfig/qemu-ga and Debian's /etc/default/qemu-guest-agent are.
void read_variable(std::string_view name, std::string_view value, Options& options) {
    if (name == "FILTER_RPC_ARGS" || name == "DAEMON_ARGS")
        read_words(name, value, options);
    else if (name == "BLOCK_RPCS" || name == "BLACKLIST_RPC")
        options.block_rpcs.add(value);
    else if (name == "FSFREEZE_HOOK_PATHNAME")
        options.fsfreeze_hook = value;
    else
        options.warnings.push_back(compile::printable(name) + " is not about what a host may do");
}

void read_environment(std::string_view text, Options& options) {
    for (const std::string_view line : lines_of(text)) {
        if (line.empty() || line.starts_with('#')) continue;
        const std::size_t equals = line.find('=');
        if (equals == line.npos) {
            options.warnings.push_back("a line without '=' is not taken over: " + compile::quoted(line));
            continue;
        }
        std::string_view value = trimmed(line.substr(equals + 1));
        const bool is_quoted = value.size() >= 2 && value.front() == value.back() &&
                               (value.front() == '"' || value.front() == '\'');
        if (is_quoted) value = value.substr(1, value.size() - 2);
        read_variable(trimmed(line.substr(0, equals)), value, options);
    }
}

bool read_files(const ImportArguments& arguments, const Files& files, Options& options) {
    for (std::size_t at = 0; at < arguments.files.size(); ++at) {
        const std::string& name = arguments.files[at];
        const auto text = read_all(files.others[at], kMaxPolicySize);
        if (!text) return complain(describe(name, text.error())), false;
        if (!is_key_file(*text))
            read_environment(*text, options);
        else if (!read_key_file(*text, name, options))
            return false;
    }
    return true;
}

}  // namespace

int run_import(const ImportArguments& arguments) {
    const auto files = read_confined({}, arguments.files);
    if (!files) return kFailure;
    Options options;
    if (!read_files(arguments, *files, options)) return kFailure;
    for (const std::string& list : arguments.allow) options.allow_rpcs.add(list);
    for (const std::string& list : arguments.block) options.block_rpcs.add(list);
    const Imported imported = imported_policy(options, arguments.is_strict);
    const auto text = compile::format(imported.text, "the policy");
    SALLYPORT_CHECK(text);
    const bool is_safe = imported.unsafe.empty() || arguments.is_strict;
    if (arguments.as_json) {
        print(JsonObject()
                  .add("policy", *text)
                  .add_value("notes", json_strings(imported.notes))
                  .add_value("not_safe", json_strings(imported.unsafe))
                  .text() +
              "\n");
        return is_safe ? kSuccess : kNotSafe;
    }
    print(*text);
    for (const std::string& note : imported.notes) complain("note: " + note + "\n");
    for (const std::string& unsafe : imported.unsafe) complain("not safe: " + unsafe + "\n");
    return is_safe ? kSuccess : kNotSafe;
}

}  // namespace sallyport::policy::cli
