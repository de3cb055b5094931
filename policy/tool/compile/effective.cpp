#include "policy/tool/compile/effective.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "policy/tool/analyse/feature.hpp"
#include "policy/tool/compile/budget_text.hpp"
#include "policy/tool/compile/problems.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::compile {

namespace {

constexpr std::array<std::string_view, 4> kAccessNames{"", "read", "write", "create"};
constexpr std::array<std::string_view, 7> kKindNames{"",       "regular", "directory", "fifo",
                                                     "socket", "char",    "block"};
constexpr std::array<std::string_view, 4> kModes{"", "halt", "powerdown", "reboot"};
constexpr std::array<std::string_view, 5> kMethods{"", "systemd", "init", "pm-utils", "kernel"};

std::string list_of(const auto& values, const auto& text_of) {
    std::string text;
    for (const auto& value : values) text.append(text.empty() ? "" : ", ").append(text_of(value));
    return "[" + text + "]";
}

std::string texts(const auto& values) {
    return list_of(values, [](const auto& value) { return toml_string(value); });
}

std::string numbers(const auto& values) {
    return list_of(values, [](const auto value) { return std::to_string(value); });
}

std::string words(const auto& values, const auto& names) {
    return list_of(values,
                   [&](const int value) { return toml_string(names[static_cast<std::size_t>(value)]); });
}

std::string bytes(std::uint64_t size) {
    return "\"" + std::to_string(size) + "B\"";
}

std::string milliseconds(std::uint32_t duration) {
    return "\"" + std::to_string(duration) + "ms\"";
}

/// The members of an inline table.
class Table {
public:
    Table& add(std::string_view key, std::string_view value) {
        text_.append(text_.empty() ? "" : ", ").append(key).append(" = ").append(value);
        return *this;
    }
    [[nodiscard]] std::string text() const { return text_.empty() ? "{}" : "{ " + text_ + " }"; }

private:
    std::string text_;
};

std::string line(std::string_view key, std::string_view value) {
    return std::string(key) + " = " + std::string(value) + "\n";
}

std::string file_text(const compiled::FileRule& file, bool is_allow) {
    Table table;
    table.add("under", toml_string(file.under()));
    if (!file.access().empty()) table.add("access", words(file.access(), kAccessNames));
    if (!is_allow) return table.text();
    if (file.has_max_size()) table.add("max_size", bytes(file.max_size()));
    if (!file.owners().empty()) table.add("owner", numbers(file.owners()));
    if (!file.kinds().empty()) table.add("kinds", words(file.kinds(), kKindNames));
    table.add("symlinks", file.follow_symlinks() ? "\"follow\"" : "\"refuse\"");
    table.add("links", file.any_links() ? "\"any\"" : "\"single\"");
    table.add("setid", file.any_setid() ? "\"any\"" : "\"refuse\"");
    if (!file.has_create_mode()) return table.text();
    std::array<char, 8> octal{};
    std::snprintf(octal.data(), octal.size(), "\"%04o\"", file.create_mode());
    return table.add("create_mode", octal.data()).text();
}

std::string freeze_text(const compiled::Rule& rule) {
    const ipc::FreezeSelection& freeze = rule.freeze();
    Table table;
    const auto list = [&](std::string_view key, const auto& values) {
        if (!values.empty()) table.add(key, texts(values));
    };
    list("mounts", freeze.mounts());
    list("types", freeze.types());
    list("sources", freeze.sources());
    list("exclude", freeze.exclude());
    list("exclude_types", freeze.exclude_types());
    list("exclude_sources", freeze.exclude_sources());
    table.add("max_frozen", milliseconds(freeze.max_frozen_ms()));
    table.add("per_mount", milliseconds(freeze.per_mount_ms()));
    table.add("already_frozen", freeze.fail_if_frozen() ? "\"fail\"" : "\"skip\"");
    if (!rule.hooks().empty()) table.add("hooks", toml_string(rule.hooks()));
    return table.text();
}

std::string reply_text(const ipc::ReplyFilter& reply) {
    Table table;
    if (!reply.interfaces().empty()) table.add("interfaces", texts(reply.interfaces()));
    if (!reply.mounts().empty()) table.add("mounts", texts(reply.mounts()));
    if (!reply.users().empty()) table.add("users", texts(reply.users()));
    if (!reply.without().empty())
        table.add("without",
                  list_of(reply.without(), [](int one) { return toml_string(analyse::member_word(one)); }));
    return table.text();
}

std::string word_text(const ipc::ExecWord& word) {
    switch (word.kind_case()) {
        case ipc::ExecWord::kText:
            return toml_string(word.text());
        case ipc::ExecWord::kOneOf:
            return Table().add("one_of", texts(word.one_of().text())).text();
        case ipc::ExecWord::kNumber:
            return Table()
                .add("int", numbers(std::array{word.number().least(), word.number().most()}))
                .text();
        case ipc::ExecWord::kUnder:
            return Table().add("under", toml_string(word.under())).text();
        default:
            return Table().add("name", std::to_string(word.name())).text();
    }
}

std::string confine_text(const ipc::ExecConfine& confine) {
    Table table;
    table.add("network", confine.no_network() ? "false" : "true");
    table.add("no_new_privileges", confine.no_new_privileges() ? "true" : "false");
    if (!confine.write().empty()) table.add("write", texts(confine.write()));
    if (confine.memory() != 0) table.add("memory", bytes(confine.memory()));
    if (confine.tasks() != 0) table.add("tasks", std::to_string(confine.tasks()));
    return table.text();
}

std::string env_text(const ipc::ExecTemplate& one) {
    Table table;
    for (const std::string& variable : one.env()) {
        const std::size_t end = variable.find('=');
        table.add(toml_string(variable.substr(0, end)), toml_string(variable.substr(end + 1)));
    }
    return table.text();
}

std::string program_text(const ipc::ExecTemplate& one, const Passwd& passwd) {
    std::string user = "root";
    for (const std::string_view name : passwd.names())
        if (passwd.find(name) == one.uid()) user = name;
    std::string text = "\n[[allow.exec]]\n";
    text += line("program", one.program().empty() ? "\"any\"" : toml_string(one.program()));
    text += line("args", one.any_args() ? "\"any\"" : list_of(one.args(), word_text));
    text += line("run_as", toml_string(user));
    if (!one.env().empty()) text += line("env", env_text(one));
    if (one.any_env()) text += line("host_env", "\"any\"");
    if (!one.host_env().empty()) text += line("host_env", texts(one.host_env()));
    if (one.input() != 0) text += line("input", bytes(one.input()));
    text += line("output", bytes(one.output()));
    text += line("max_runtime", milliseconds(one.max_runtime_ms()));
    text += line("concurrent", std::to_string(one.concurrent()));
    if (one.has_confine()) text += line("confine", confine_text(one.confine()));
    return text;
}

std::string commands_text(const auto& commands) {
    return list_of(commands, [](std::uint32_t number) {
        const auto command = command_from_number(number);
        return toml_string(command ? command_row(*command).name : "");
    });
}

bool allows(const compiled::Rule& rule, CommandId command) {
    return std::ranges::find(rule.commands(), static_cast<std::uint32_t>(command)) != rule.commands().end();
}

std::string accounts_text(const compiled::Rule& rule) {
    const ipc::AccountTemplate& accounts = rule.accounts();
    const auto name_of = [](const ipc::Account& one) { return toml_string(one.name()); };
    std::string text = line("users", accounts.any_user() ? "\"any\"" : list_of(accounts.accounts(), name_of));
    if (allows(rule, CommandId::kSetUserPassword))
        text += line("crypted", accounts.crypted_only() ? "\"only\"" : "\"any\"");
    if (!allows(rule, CommandId::kSshAddAuthorizedKeys)) return text;
    text += line("key_types", accounts.any_key() ? "\"any\"" : texts(accounts.key_types()));
    text += line("max_keys", std::to_string(accounts.max_keys()));
    text += line("reset", accounts.reset() ? "true" : "false");
    std::string options;
    for (const char c : accounts.options()) options += c == ',' ? std::string("\", \"") : std::string(1, c);
    if (!options.empty()) text += line("require", "[\"" + options + "\"]");
    return text;
}

std::string spans_text(const ipc::SetRule::Spans& spans) {
    if (spans.any()) return "\"any\"";
    std::string text;
    for (const ipc::SetRule::Spans::Span& one : spans.span()) {
        text.append(text.empty() ? "" : ",").append(std::to_string(one.least()));
        if (one.most() != one.least()) text.append("-").append(std::to_string(one.most()));
    }
    return toml_string(text);
}

std::string set_text(const ipc::SetRule& one) {
    Table table;
    if (one.has_time())
        return line(
            "time",
            table.add("max_step", one.time().any() ? "\"any\"" : milliseconds(one.time().max_ms())).text());
    if (one.has_blocks()) return line("memory", table.add("blocks", spans_text(one.blocks())).text());
    table.add("min_online", std::to_string(one.vcpus().min_online()));
    return line("vcpus", table.add("cpus", spans_text(one.vcpus().cpus())).text());
}

std::string rule_text(const compiled::Rule& rule, const Passwd& passwd, bool is_enforced = true) {
    const bool is_allow = rule.effect() == compiled::Rule::ALLOW;
    std::string text = "\n# " + printable(rule.where()) + "\n" + (is_allow ? "[[allow]]\n" : "[[deny]]\n");
    text += line("id", toml_string(rule.id()));
    if (!is_enforced) text += line("enforce", "false");
    text += line("commands", commands_text(rule.commands()));
    if (!rule.modes().empty()) text += line("modes", words(rule.modes(), kModes));
    if (rule.method() != compiled::Rule::ANY_METHOD)
        text += line("method", toml_string(kMethods[static_cast<std::size_t>(rule.method())]));
    if (rule.has_expires()) text += line("expires", analyse::show_time(rule.expires()));
    if (rule.has_when()) text += line("when", rule.when().text());
    const compiled::Budget& budget = rule.budget();
    if (budget.requests() != 0)
        text +=
            line("rate", toml_string(rate_text(flow_of(budget.requests(), budget.burst(), budget.per_ms()))));
    if (budget.bytes() != 0)
        text += line("bytes",
                     toml_string(bytes_text(flow_of(budget.bytes(), budget.bytes(), budget.bytes_per_ms()))));
    if (budget.concurrent() != 0) text += line("concurrent", std::to_string(budget.concurrent()));
    if (!rule.files().empty()) {
        text += "files = [\n";
        for (const compiled::FileRule& file : rule.files())
            text += "    " + file_text(file, is_allow) + ",\n";
        text += "]\n";
    }
    if (rule.has_freeze()) text += line("freeze", freeze_text(rule));
    if (rule.has_reply()) text += line("reply", reply_text(rule.reply()));
    if (rule.has_accounts()) text += accounts_text(rule);
    for (const ipc::SetRule& one : rule.sets()) text += set_text(one);
    for (const ipc::ExecTemplate& one : rule.exec()) text += program_text(one, passwd);
    return text;
}

std::string never_text(const analyse::Never& never) {
    std::string text =
        "\n# " + printable(never.rule.where) + "\n[[never]]\n" + line("id", toml_string(never.rule.id));
    if (!never.programs.empty() || !never.run_as.empty()) {
        Table exec;
        if (!never.programs.empty()) exec.add("programs", texts(never.programs));
        if (!never.run_as.empty()) exec.add("run_as", numbers(never.run_as));
        return text + line("exec", exec.text());
    }
    const auto name_of = [](const ipc::Account& one) { return toml_string(one.name()); };
    if (!never.users.empty()) text += line("users", list_of(never.users, name_of));
    std::vector<std::uint32_t> commands;
    for (const Command& row : kCommands)
        if (never.rule.commands.has(row.id)) commands.push_back(static_cast<std::uint32_t>(row.id));
    text += line("commands", commands_text(commands));
    std::vector<int> modes;
    for (std::size_t mode = 1; mode < kModes.size(); ++mode)
        if (never.rule.modes.test(mode)) modes.push_back(static_cast<int>(mode));
    if (!modes.empty()) text += line("modes", words(modes, kModes));
    if (never.rule.files.empty()) return text;
    return text + line("files", list_of(never.rule.files, [](const FileRule& file) {
                           std::vector<int> access;
                           if (file.access.read) access.push_back(1);
                           if (file.access.write) access.push_back(2);
                           if (file.access.create) access.push_back(3);
                           Table table;
                           table.add("under", toml_string(file.under));
                           if (!access.empty()) table.add("access", words(access, kAccessNames));
                           return table.text();
                       }));
}

std::string audit_text(const compiled::Audit& audit) {
    Table table;
    if (audit.max_size() != 0) table.add("max_size", bytes(audit.max_size()));
    if (audit.keep() != 0) table.add("keep", std::to_string(audit.keep()));
    table.add("on_loss", audit.goes_on() ? "\"go on\"" : "\"refuse\"");
    table.add("journal", audit.journal_all() ? "\"all\"" : "\"some\"");
    return table.text();
}

}  // namespace

std::string toml_string(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        std::array<char, 8> escaped{};
        if (c == '"' || c == '\\') quoted += '\\';
        if (byte >= 0x20 && byte != 0x7F)
            quoted += c;
        else if (std::snprintf(escaped.data(), escaped.size(), "\\u%04x", byte) > 0)
            quoted += escaped.data();
    }
    return quoted + "\"";
}

std::string effective_text(const Compilation& compilation, const Passwd& passwd) {
    const compiled::Compiled& policy = compilation.policy;
    std::string text = "schema = 1\n";
    if (policy.preview_names()) text += line("dialect", "\"0.14-preview\"");
    Table peers;
    if (!policy.peers().uids().empty()) peers.add("uids", numbers(policy.peers().uids()));
    if (!policy.peers().cids().empty()) peers.add("cids", numbers(policy.peers().cids()));
    if (policy.has_peers()) text += line("peers", peers.text());
    if (policy.has_audit()) text += line("audit", audit_text(policy.audit()));
    for (const compiled::Rule& rule : policy.rules()) text += rule_text(rule, passwd);
    for (const compiled::Rule& rule : policy.dry_runs()) text += rule_text(rule, passwd, false);
    for (const analyse::Never& never : compilation.nevers) text += never_text(never);
    return text;
}

}  // namespace sallyport::policy::compile
