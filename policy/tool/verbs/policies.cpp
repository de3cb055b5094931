#include "policy/tool/verbs/policies.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "ipc/limits.hpp"
#include "policy/tool/compile/compile.hpp"
#include "policy/tool/compile/problems.hpp"
#include "policy/tool/verbs/confined.hpp"
#include "policy/tool/verbs/files.hpp"
#include "policy/tool/verbs/verb.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::policy::cli {

namespace {

constexpr std::size_t kMaxUsersSize = std::size_t{16} << 20U;

bool wants_colour() {
    const char* const terminal = std::getenv("TERM");
    const char* const no_colour = std::getenv("NO_COLOR");
    const bool is_refused = no_colour != nullptr && *no_colour != '\0';
    return ::isatty(STDOUT_FILENO) == 1 && terminal != nullptr && std::string_view(terminal) != "dumb" &&
           !is_refused;
}

std::nullopt_t fail(std::string_view name, const Error& error) {
    complain(describe(name, error));
    return std::nullopt;
}

std::optional<Loaded> compile(const CompilerInput& input, const Files& files) {
    auto text = read_all(input.policy, kMaxPolicySize);
    if (!text) return fail(input.name, text.error());
    Loaded loaded{.name = input.name, .text = *std::move(text), .compiled = {}, .nevers = {}, .policy = {}};
    auto compiled = compile::compile_with_nevers({.text = loaded.text,
                                                  .name = input.name,
                                                  .passwd = files.passwd,
                                                  .group = files.group,
                                                  .zones = zones_in(files.zones),
                                                  .fragments = &input.fragments});
    if (!compiled) {
        complain(compiled.error());
        return std::nullopt;
    }
    loaded.compiled = std::move(compiled->policy);
    loaded.nevers = std::move(compiled->nevers);
    auto policy = load(loaded.compiled.SerializeAsString());
    if (!policy) return fail(input.name, policy.error());
    loaded.policy = *std::move(policy);
    loaded.fragments = input.fragments;
    return loaded;
}

}  // namespace

std::optional<Files> read_confined(const std::vector<std::string>& policies,
                                   const std::vector<std::string>& others, const Folders& folders) {
    std::vector<CompilerInput> inputs;
    for (const std::string& path : policies) {
        auto input = open_input(path, folders);
        if (!input) return std::nullopt;
        inputs.push_back(*std::move(input));
    }
    Files files{.policies = {},
                .others = {},
                .passwd = {},
                .group = {},
                .zones = inputs.empty() ? UniqueFd() : std::move(inputs.front().zones),
                .has_colour = wants_colour()};
    for (const std::string& path : others) {
        auto file = path == "-" ? standard_input() : open_to_read(path);
        if (!file) return fail(path, file.error());
        files.others.push_back(*std::move(file));
    }
    if (const auto locked = sandbox::lockdown_compiler(files.zones); !locked)
        return fail("lockdown", locked.error());
    if (inputs.empty()) return files;
    auto passwd = read_all(inputs.front().passwd, kMaxUsersSize);
    auto group = read_all(inputs.front().group, kMaxUsersSize);
    if (!passwd || !group) return fail("/etc/passwd or /etc/group", (passwd ? group : passwd).error());
    files.passwd = *std::move(passwd);
    files.group = *std::move(group);
    for (const CompilerInput& input : inputs) {
        auto loaded = compile(input, files);
        if (!loaded) return std::nullopt;
        files.policies.push_back(*std::move(loaded));
    }
    return files;
}

Colours colours(const Files& files) {
    if (!files.has_colour) return {};
    return {.good = "\033[32m", .bad = "\033[31m", .dim = "\033[2m", .end = "\033[0m"};
}

std::string rule_name(const Rule& rule) {
    return "'" + rule.id + "' (" + compile::printable(rule.where) + ")";
}

std::string part_name(const Policy& policy, const analyse::Part& part) {
    const Rule& rule = policy.rules[part.rule];
    std::string name = rule_name(rule);
    if (part.subject == analyse::Subject::kFiles)
        name += ", files " + compile::quoted(rule.files[part.entry].under);
    if (part.subject == analyse::Subject::kExec) {
        const std::string& program = rule.exec[part.entry].program();
        name += ", program " + (program.empty() ? "any" : compile::quoted(program));
    }
    return part.feature == nullptr ? name : "'" + std::string(part.feature->key) + "' of " + name;
}

bool is_whole(const Policy& policy, const analyse::Part& part) {
    const CommandSet& commands = policy.rules[part.rule].commands;
    return part.feature == nullptr && std::ranges::any_of(kCommands, [&](const Command& row) {
               return commands.has(row.id) && row.floor == Floor::kNo;
           });
}

std::string hexadecimal(std::string_view bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        text += kDigits[byte >> 4U];
        text += kDigits[byte & 0xFU];
    }
    return text;
}

std::string reason_of(const Policy& policy, Why why, std::size_t rule) {
    switch (why) {
        case Why::kAllowed:
            return rule == kNoRule ? "always answered" : "by rule " + rule_name(policy.rules[rule]);
        case Why::kDenied:
            return "denied by rule " + rule_name(policy.rules[rule]);
        case Why::kNoRuleMatches:
            return "no allow rule matches";
        case Why::kNarrowed:
            return "an option takes the command away";
    }
    check_failed();
}

}  // namespace sallyport::policy::cli
