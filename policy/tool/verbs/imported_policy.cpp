#include <algorithm>
#include <array>
#include <string_view>

#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/import.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr std::string_view kHead =
    "# What qemu-ga let a host do here, by 'sallyport-policy import'. What is marked NOT SAFE is as open as "
    "qemu-ga was: name\n"
    "# what the host needs, and no more.\nschema = 1\n";
constexpr std::string_view kAnyFile =
    "[[allow.files]]\nunder = \"/\"\naccess = [\"read\", \"write\", \"create\"]\n"
    "kinds = [\"regular\", \"directory\", \"fifo\", \"socket\", \"char\", \"block\"]\n"
    "symlinks = \"follow\"\nlinks = \"any\"\nsetid = \"any\"\ncreate_mode = \"0666\"\n";
constexpr std::string_view kAnyProgram =
    "[[allow.exec]]\nprogram = \"any\"\nargs = \"any\"\nrun_as = \"root\"\nhost_env = \"any\"\ninput = "
    "\"1MiB\"\n"
    "output = \"16MiB\"\nmax_runtime = \"24h\"\nconcurrent = 32\n";

/// What a rule says besides its commands, for those that are enabled.
using Terms = std::string (*)(CommandSet enabled);

std::string no_terms(CommandSet) {
    return "";
}

std::string of_files(CommandSet enabled) {
    return enabled.has(CommandId::kFileOpen) ? std::string(kAnyFile) : "";
}

bool freezes(CommandSet enabled) {
    return std::ranges::any_of(kCommands, [&](const Command& row) {
        return row.constraint == Constraint::kFreeze && enabled.has(row.id);
    });
}

std::string of_freezing(CommandSet enabled) {
    return freezes(enabled) ? "freeze = { max_frozen = \"10m\" }\n" : "";
}

std::string of_power(CommandSet enabled) {
    return enabled.has(CommandId::kShutdown) ? "modes = [\"halt\", \"powerdown\", \"reboot\"]\n" : "";
}

std::string of_programs(CommandSet enabled) {
    return enabled.has(CommandId::kExec) ? std::string(kAnyProgram) : "";
}

std::string of_accounts(CommandSet enabled, std::string_view users) {
    std::string text = "users = " + std::string(users) + "\n";
    if (enabled.has(CommandId::kSetUserPassword)) text += "crypted = \"any\"\n";
    if (enabled.has(CommandId::kSshAddAuthorizedKeys))
        text += "key_types = \"any\"\nmax_keys = 10000\nreset = true\n";
    return text;
}

std::string of_users(CommandSet enabled) {
    return of_accounts(enabled, "\"any\"");
}

std::string of_root(CommandSet enabled) {
    return of_accounts(enabled, "[\"root\"]");
}

std::string of_hardware(CommandSet enabled) {
    std::string text;
    if (enabled.has(CommandId::kSetTime)) text += "time = { max_step = \"any\" }\n";
    if (enabled.has(CommandId::kSetVcpus)) text += "vcpus = { min_online = 1, cpus = \"any\" }\n";
    if (enabled.has(CommandId::kSetMemoryBlocks)) text += "memory = { blocks = \"any\" }\n";
    return text;
}

/// A rule, if any of its group's commands is enabled; and why it is not safe, if it has these terms.
struct Part {
    const char* id;
    Group group;
    Terms terms;
    const char* danger;  // nullptr: it is safe
};

// clang-format off
constexpr std::array kParts{
    Part{"import-sync",     Group::kSync,     no_terms,    nullptr},
    Part{"import-info",     Group::kInfo,     no_terms,    nullptr},
    Part{"import-look",     Group::kInspect,  no_terms,    nullptr},
    Part{"import-files",    Group::kFile,     of_files,    "the host reads, changes and creates any file as root: name directories, 'access', 'owner' and 'max_size'"},
    Part{"import-freeze",   Group::kFreeze,   of_freezing, nullptr},
    Part{"import-power",    Group::kPower,    of_power,    nullptr},
    Part{"import-exec",     Group::kExec,     of_programs, "the host starts any program as root: name programs, their words, and a user in 'run_as'"},
    Part{"import-accounts", Group::kAccounts, of_users,    "the host lets itself in as any user: name 'users', crypted = \"only\" and 'key_types'"},
    Part{"import-root",     Group::kAccounts, of_root,     "the host lets itself in as root: leave the rule out, or use keys with 'require'"},
    Part{"import-hardware", Group::kHardware, of_hardware, "the host sets the clock, takes processors or memory away as far as it likes: name 'max_step', 'cpus', 'blocks'"},
};
// clang-format on

CommandSet enabled_by(const Options& options) {
    const auto names = [](const CommandList& list, const Command& row) {
        return std::ranges::find(list.names, row.name) != list.names.end();
    };
    CommandSet enabled;
    for (const Command& row : kCommands)
        if ((!options.allow_rpcs.is_given || names(options.allow_rpcs, row)) &&
            !names(options.block_rpcs, row))
            enabled.add(row.id);
    return enabled;
}

/// The enabled commands of a group, by its name if that is all of them.
std::string commands_of(Group group, CommandSet enabled) {
    std::string names;
    bool is_whole = true;
    for (const Command& row : kCommands) {
        if (row.group != group) continue;
        if (enabled.has(row.id))
            names.append(names.empty() ? "" : ", ").append("\"").append(row.name).append("\"");
        else
            is_whole = false;
    }
    for (const GroupName& row : kGroups)
        if (is_whole && row.group == group) names = "\"" + std::string(row.name) + "\"";
    return names;
}

std::string as_comment(std::string_view text) {
    std::string commented;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        commented.append("# ").append(text.substr(0, end)).append("\n");
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return commented;
}

void add_part(const Part& part, CommandSet enabled, bool is_strict, Imported& to) {
    const std::string commands = commands_of(part.group, enabled);
    if (commands.empty()) return;
    const std::string terms = part.terms(enabled);
    const bool is_safe = part.danger == nullptr || terms.empty();
    const std::string rule = "[[allow]]\nid = \"" + std::string(part.id) +
                             "\"\nwhy = \"qemu-ga was left to do this\"\ncommands = [" + commands + "]\n" +
                             terms;
    to.text += "\n";
    if (!is_safe) {
        to.text += "# NOT SAFE: " + std::string(part.danger) + "\n";
        to.unsafe.push_back("rule '" + std::string(part.id) + "': " + part.danger);
    }
    to.text += is_safe || !is_strict ? rule : as_comment(rule);
}

// The floor is answered whatever a policy says.
void note_floor(CommandSet enabled, Imported& to) {
    std::string names;
    for (const Command& row : kCommands)
        if (row.floor == Floor::kYes && !enabled.has(row.id))
            names.append(names.empty() ? "" : " ").append(row.name);
    if (!names.empty())
        to.notes.push_back("always answered, unless --block-rpcs of sallyportd says otherwise: " + names);
}

void note_hook(const Options& options, CommandSet enabled, Imported& to) {
    if (!options.fsfreeze_hook.empty() && freezes(enabled))
        to.notes.push_back("the freeze hook " + compile::quoted(options.fsfreeze_hook) +
                           " runs if sallyportd is started with -F" +
                           compile::printable(options.fsfreeze_hook) +
                           ", or its configuration file says so; or name a directory of programs in 'hooks'");
}

}  // namespace

Imported imported_policy(const Options& options, bool is_strict) {
    Imported imported{.text = std::string(kHead), .notes = options.warnings, .unsafe = {}};
    for (const CommandList* list : {&options.allow_rpcs, &options.block_rpcs})
        for (std::string& warning : warnings_about(*list)) imported.notes.push_back(std::move(warning));
    if (options.allow_rpcs.is_given && options.block_rpcs.is_given)
        imported.notes.emplace_back(
            "both lists are given, with which qemu-ga would not start: what is allowed, less what is "
            "blocked");
    const CommandSet enabled = enabled_by(options);
    for (const Part& part : kParts) add_part(part, enabled, is_strict, imported);
    note_floor(enabled, imported);
    note_hook(options, enabled, imported);
    if (freezes(enabled))
        imported.notes.emplace_back(
            "file systems stay frozen for ten minutes at the most, where qemu-ga knows no limit");
    return imported;
}

}  // namespace sallyport::policy::cli
