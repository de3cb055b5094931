#include "policy/tool/compile/rule.hpp"

#include <algorithm>
#include <vector>

#include "ipc/limits.hpp"
#include "policy/check_rule.hpp"
#include "policy/decide.hpp"
#include "policy/tool/compile/account_rule.hpp"
#include "policy/tool/compile/budget_rule.hpp"
#include "policy/tool/compile/enforce.hpp"
#include "policy/tool/compile/exec_rule.hpp"
#include "policy/tool/compile/file_rule.hpp"
#include "policy/tool/compile/freeze_rule.hpp"
#include "policy/tool/compile/power_rule.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/compile/reply_rule.hpp"
#include "policy/tool/compile/set_rule.hpp"
#include "policy/tool/compile/suggest.hpp"
#include "policy/tool/compile/units.hpp"
#include "policy/tool/compile/when_rule.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::compile {

namespace {

constexpr std::size_t kMaxNevers = 256;
constexpr std::array<std::string_view, 7> kNeverKeys{"id",    "why",  "commands", "files",
                                                     "modes", "exec", "users"};
constexpr std::array<std::string_view, 2> kNeverExecKeys{"programs", "run_as"};
constexpr std::array<std::string_view, 24> kRuleKeys{
    "enforce",   "id",       "why",     "commands", "files", "modes",  "method", "freeze",
    "reply",     "exec",     "expires", "time",     "vcpus", "memory", "users",  "crypted",
    "key_types", "max_keys", "reset",   "require",  "when",  "rate",   "bytes",  "concurrent"};

CommandSet commands_of(Group group) {
    CommandSet set;
    for (const Command& row : kCommands)
        if (row.group == group) set.add(row.id);
    return set;
}

CommandSet commands_with(Constraint constraint) {
    CommandSet set;
    for (const Command& row : kCommands)
        if (row.constraint == constraint) set.add(row.id);
    return set;
}

bool have_common(CommandSet some, CommandSet others) {
    some &= others;
    return !some.is_empty();
}

void report_unknown_command(Reader& reader, const Word& word) {
    if (word.text == "*")
        return reader.problem(word.place,
                              "'*' is no command: a policy names what it allows, by commands or groups");
    std::vector<std::string_view> known;
    const bool is_group = word.text.starts_with('@');
    if (is_group) {
        for (const GroupName& row : kGroups) known.push_back(row.name);
    } else {
        for (const Command& row : kCommands) known.push_back(row.name);
    }
    const std::string what = is_group ? "unknown group " : "unknown command ";
    reader.problem(word.place, what + quoted(word.text) + did_you_mean(word.text, known));
}

/// The commands that one word of `commands` means; empty after a problem.
CommandSet commands_of(Reader& reader, const Word& word, bool is_allow) {
    CommandSet set;
    const auto group = std::ranges::find(kGroups, word.text, &GroupName::name);
    const auto command = find_command(word.text);
    if (group != kGroups.end()) {
        set = commands_of(group->group);
    } else if (command) {
        set.add(*command);
    } else {
        report_unknown_command(reader, word);
    }
    if (is_allow || set.is_empty()) return set;
    // A denial without any effect is an error; of a group, only the floor commands are ignored.
    set -= floor_commands();
    if (set.is_empty())
        reader.problem(word.place,
                       quoted(word.text) + " cannot be denied by a rule, only by the option --block-rpcs");
    return set;
}

std::string name_of(const compiled::Rule& rule) {
    std::string kind = "never rule";  // of which the effect is not yet said
    if (rule.effect() == compiled::Rule::ALLOW) kind = "allow rule";
    if (rule.effect() == compiled::Rule::DENY) kind = "deny rule";
    return rule.id().empty() ? "this " + kind : kind + " " + quoted(rule.id());
}

void read_id(RuleContext& context, const toml::table& rule, compiled::Rule& to) {
    Reader& reader = context.reader;
    if (!rule.contains("id")) return reader.problem(place_of(rule), name_of(to) + " needs an 'id'");
    const auto id = reader.text(rule, "id");
    if (!id) return;
    const Place place = place_of(*rule.get("id"));
    if (!is_rule_id(*id))
        return reader.problem(place,
                              "'id' must have 1 to 64 characters, each a letter, a digit, '-', '_' or '.'");
    const auto [entry, is_new] = context.ids.emplace(*id, to.where());
    if (!is_new) return reader.problem(place, "id " + quoted(*id) + " is already used at " + entry->second);
    to.set_id(std::string(*id));
}

void check_freeze(RuleContext& context, const toml::table& rule, const compiled::Rule& to, CommandSet set) {
    const bool freezes = have_common(set, commands_with(Constraint::kFreeze));
    const bool is_allow = to.effect() == compiled::Rule::ALLOW;
    if (rule.contains("freeze") && !is_allow)
        context.reader.problem(place_of(*rule.get("freeze")), "'freeze' means nothing in a deny rule");
    else if (rule.contains("freeze") && !freezes)
        context.reader.problem(place_of(*rule.get("freeze")), "'freeze' means nothing here: no command of " +
                                                                  name_of(to) + " freezes or trims");
    else if (is_allow && freezes && !rule.contains("freeze"))
        context.reader.problem(place_of(*rule.get("commands")),
                               name_of(to) +
                                   " allows freezing or trimming and must say which file systems: "
                                   "freeze = { mounts = [\"/\"] }, or freeze = {} for all local ones");
}

void read_commands(RuleContext& context, const toml::table& rule, compiled::Rule& to) {
    Reader& reader = context.reader;
    const bool is_allow = to.effect() == compiled::Rule::ALLOW;
    CommandSet set;
    if (!rule.contains("commands")) {
        // A deny rule with only files is about every command that takes a path.
        if (is_allow) return reader.problem(place_of(rule), name_of(to) + " needs 'commands'");
        if (!rule.contains("files"))
            return reader.problem(place_of(rule), name_of(to) + " needs 'commands' or 'files'");
        set = commands_with(Constraint::kFiles);
    } else if (const auto words = reader.words(rule, "commands")) {
        for (const Word& word : *words) set |= commands_of(reader, word, is_allow);
    }
    // Whoever may start a program may ask how it ended: every client of the one command uses the other.
    if (is_allow && set.has(CommandId::kExec)) set.add(CommandId::kExecStatus);
    for (const Command& row : kCommands)
        if (set.has(row.id)) to.add_commands(static_cast<std::uint32_t>(row.id));
    if (set.is_empty()) return;
    read_power(reader, rule, set, to);

    check_freeze(context, rule, to, set);
    const bool takes_files = have_common(set, commands_with(Constraint::kFiles));
    if (rule.contains("files") && !takes_files)
        reader.problem(place_of(*rule.get("files")),
                       "'files' means nothing here: no command of " + name_of(to) + " takes a path");
    CommandSet others = set;
    others -= commands_of(Group::kFile);
    if (!is_allow && takes_files && rule.contains("files") && !others.is_empty())
        reader.problem(
            place_of(*rule.get("files")),
            "a deny rule with 'files' can be about @file only; what else is denied needs a rule of its own");
    if (is_allow && takes_files && !rule.contains("files"))
        reader.problem(place_of(*rule.get("commands")),
                       name_of(to) +
                           " allows guest-file-open and must say which files: "
                           "files = [{ under = \"/DIRECTORY\", access = [\"read\"] }]");
}

void read_expires(Reader& reader, const toml::table& rule, compiled::Rule& to) {
    const toml::node* node = rule.get("expires");
    if (node == nullptr) return;
    const auto* time = node->as_date_time();
    if (time == nullptr)
        return reader.wrong_type(*node, "expires",
                                 "a date and time without quotes like 2030-01-31T00:00:00Z");
    const auto moment = to_unix_time(time->get());
    if (!moment)
        return reader.problem(
            place_of(*node),
            "'expires' must be after 1970 and have an offset from UTC, like 2030-01-31T00:00:00Z");
    to.set_expires(*moment);
}

void read_rule(RuleContext& context, const toml::table& rule, compiled::Rule& to) {
    const bool is_allow = to.effect() == compiled::Rule::ALLOW;
    to.set_where(context.reader.name() + ":" + std::to_string(place_of(rule).line));
    context.reader.only_keys(rule, kRuleKeys, is_allow ? "an allow rule" : "a deny rule");
    read_id(context, rule, to);
    context.reader.text(rule, "why");
    read_commands(context, rule, to);
    read_files(context.reader, context.passwd, rule, to);
    read_freeze(context.reader, rule, to);
    CommandSet commands;
    for (const std::uint32_t number : to.commands()) commands.add(static_cast<CommandId>(number));
    read_reply(context.reader, rule, commands, to);
    read_exec(context.reader, context.passwd, rule, to);
    read_accounts(context.reader, context.passwd, rule, to);
    read_sets(context.reader, rule, to);
    read_budget(context.reader, rule, commands, to);
    read_expires(context.reader, rule, to);
    read_when(context.reader, context.zones, rule, to);
}

struct FoundRule {
    const toml::table* table;
    compiled::Rule::Effect effect;
};

void find_rules(Reader& reader, const toml::table& document, std::string_view key,
                std::vector<FoundRule>& found) {
    const toml::node* node = document.get(key);
    if (node == nullptr) return;
    const std::string expected = "a list of rules, each under [[" + std::string(key) + "]]";
    const toml::array* rules = node->as_array();
    if (rules == nullptr) return reader.wrong_type(*node, key, expected);
    const auto effect = key == "allow" ? compiled::Rule::ALLOW : compiled::Rule::DENY;
    for (const toml::node& element : *rules) {
        if (const toml::table* table = element.as_table()) {
            found.push_back({table, effect});
        } else {
            reader.wrong_type(element, key, expected);
        }
    }
}

}  // namespace

void read_rules(RuleContext& context, const toml::table& document) {
    std::vector<FoundRule> found;
    find_rules(context.reader, document, "allow", found);
    find_rules(context.reader, document, "deny", found);
    std::ranges::stable_sort(found, {}, [](const FoundRule& rule) { return place_of(*rule.table).line; });
    std::size_t entries = 0;
    for (const FoundRule& each : found) {
        const bool is_enforced = read_enforce(context.reader, *each.table);
        compiled::Rule& to = is_enforced ? *context.to.add_rules() : *context.to.add_dry_runs();
        to.set_effect(each.effect);
        read_rule(context, *each.table, to);
        const auto files = static_cast<std::size_t>(to.files().size());
        const bool had_room = entries <= kMaxRules;
        entries += std::max<std::size_t>(1, files);
        if (had_room && entries > kMaxRules)
            context.reader.problem(place_of(*each.table), "more than " + std::to_string(kMaxRules) +
                                                              " rules, counting each entry of 'files'");
    }
}

namespace {

/// Which programs must not be started, and as whom none must be.
void read_never_exec(RuleContext& context, const toml::table& rule, analyse::Never& to) {
    Reader& reader = context.reader;
    const toml::table* exec = reader.table(rule, "exec");
    if (exec == nullptr) return;
    reader.only_keys(*exec, kNeverExecKeys, "'exec' of a never rule");
    if (exec->contains("programs"))
        for (const Word& word : reader.words(*exec, "programs").value_or(std::vector<Word>{})) {
            if (!is_directory_name(word.text))
                reader.problem(word.place, quoted(word.text) + " is no absolute path in its shortest form");
            to.programs.emplace_back(word.text);
        }
    to.run_as = read_users(reader, context.passwd, *exec, "run_as");
    if (to.programs.empty() && to.run_as.empty())
        reader.problem(place_of(*exec), "'exec' of a never rule needs 'programs' or 'run_as'");
}

void refuse_keys(Reader& reader, const toml::table& rule, std::span<const std::string_view> keys,
                 std::string_view why) {
    for (const std::string_view key : keys)
        if (rule.contains(key)) reader.problem(place_of(*rule.get(key)), std::string(why) + quoted(key));
}

/// Of `users`: all of @accounts, or some.
void read_about_users(RuleContext& context, const toml::table& rule, compiled::Rule& to,
                      analyse::Never& never) {
    constexpr std::array<std::string_view, 2> kOthers{"files", "modes"};
    Reader& reader = context.reader;
    never.users = read_never_users(reader, context.passwd, rule);
    refuse_keys(reader, rule, kOthers, "a never rule with 'users' is about @accounts and has no ");
    const CommandSet accounts = commands_with(Constraint::kUsers);
    CommandSet set;
    if (!rule.contains("commands"))
        set = accounts;
    else if (const auto words = reader.words(rule, "commands"))
        for (const Word& word : *words) {
            CommandSet some = commands_of(reader, word, false);
            set |= some;
            some -= accounts;
            if (!some.is_empty())
                reader.problem(word.place, "a never rule with 'users' is about commands of @accounts, and " +
                                               quoted(word.text) + " is none");
        }
    for (const Command& row : kCommands)
        if (set.has(row.id)) to.add_commands(static_cast<std::uint32_t>(row.id));
}

void read_never(RuleContext& context, const toml::table& rule, compiled::Rule& to, analyse::Never& never) {
    to.set_where(context.reader.name() + ":" + std::to_string(place_of(rule).line));
    context.reader.only_keys(rule, kNeverKeys, "a never rule");
    read_id(context, rule, to);
    context.reader.text(rule, "why");
    if (rule.contains("exec")) {
        constexpr std::array<std::string_view, 4> kOthers{"commands", "files", "modes", "users"};
        read_never_exec(context, rule, never);
        refuse_keys(context.reader, rule, kOthers,
                    "a never rule with 'exec' is about guest-exec and has no ");
        to.add_commands(static_cast<std::uint32_t>(CommandId::kExec));
    } else if (rule.contains("users")) {
        read_about_users(context, rule, to, never);
    } else {
        read_commands(context, rule, to);
        read_files(context.reader, context.passwd, rule, to);
    }
    to.set_effect(compiled::Rule::DENY);
}

}  // namespace

void read_nevers(RuleContext& context, const toml::table& document, std::vector<analyse::Never>& nevers) {
    std::vector<FoundRule> found;
    find_rules(context.reader, document, "never", found);
    for (const FoundRule& each : found) {
        if (nevers.size() >= kMaxNevers)
            return context.reader.problem(place_of(*each.table),
                                          "more than " + std::to_string(kMaxNevers) + " never rules");
        read_never(context, *each.table, *context.to.add_rules(), nevers.emplace_back());
    }
}

}  // namespace sallyport::policy::compile
