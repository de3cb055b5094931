// A policy without what no request has needed.
#include <algorithm>
#include <array>

#include "policy/tool/log/learnt.hpp"

namespace sallyport::policy::log {

namespace {

constexpr std::array<std::uint32_t, 12> kSteps{1'000,     5'000,      10'000,     30'000,
                                               60'000,    300'000,    600'000,    1'800'000,
                                               3'600'000, 14'400'000, 86'400'000, 604'800'000};

std::uint64_t round_up(std::uint64_t size) {
    std::uint64_t rounded = 1024;
    while (rounded < size) rounded *= 2;
    return rounded;
}

bool uses(const RuleUse& use, const auto& is_one) {
    return std::ranges::any_of(kCommands,
                               [&](const Command& row) { return use.commands.has(row.id) && is_one(row); });
}

void narrow_files(compiled::Rule& rule, RuleUse& use) {
    const compiled::Rule before = rule;
    rule.clear_files();
    for (auto& [entry, paths] : use.files) {
        const compiled::FileRule& from = before.files(static_cast<int>(entry));
        paths.group();
        for (const auto& [path, access] : paths.all()) {
            compiled::FileRule& file = *rule.add_files() = from;
            // Above the entry's own directory nothing is allowed by it.
            file.set_under(from.under().size() > path.size() ? from.under() : path);
            file.clear_access();
            for (const int word : from.access()) {
                const bool is_kept = word == compiled::FileRule::READ ? (access & Paths::kRead) != 0
                                                                      : (access & Paths::kWrite) != 0;
                if (is_kept) file.add_access(static_cast<compiled::FileRule::Access>(word));
            }
            if ((access & Paths::kWrite) == 0) file.clear_create_mode();
        }
    }
}

/// A place of a template, for the words that were seen in it.
void narrow_place(ipc::ExecWord& place, const Words& words) {
    if (place.has_text() || !words.is_complete()) return;
    ipc::ExecWord found;
    if (!words.place(found)) return;
    const bool is_alike = place.kind_case() == found.kind_case() || found.has_text() || found.has_one_of();
    if (is_alike) place = found;
}

void narrow_line(compiled::Rule& rule, const ipc::ExecTemplate& from, const std::string& program,
                 const CommandLines& lines) {
    const auto add = [&] {
        ipc::ExecTemplate& one = *rule.add_exec() = from;
        one.set_program(program);
        return &one;
    };
    if (!from.any_args()) {
        ipc::ExecTemplate& one = *add();
        for (int at = 0; at < one.args_size(); ++at)
            narrow_place(*one.mutable_args(at), lines.places[static_cast<std::size_t>(at)]);
        return;
    }
    if (lines.is_complete) {
        for (const std::vector<std::string>& line : lines.lines) {
            ipc::ExecTemplate& one = *add();
            one.clear_any_args();
            for (const std::string& word : line) one.add_args()->set_text(word);
        }
        return;
    }
    ipc::ExecTemplate& one = *add();
    one.clear_any_args();
    for (const Words& words : lines.places)
        if (!words.place(*one.add_args())) {
            // Nothing short of any words takes them.
            one.clear_args();
            one.set_any_args(true);
            return;
        }
}

void narrow_programs(compiled::Rule& rule, const RuleUse& use) {
    const compiled::Rule before = rule;
    rule.clear_exec();
    for (const auto& [entry, programs] : use.programs) {
        ipc::ExecTemplate from = before.exec(static_cast<int>(entry));
        if (from.any_env()) {
            from.clear_any_env();
            for (const std::string& name : programs.env) from.add_host_env(name);
        }
        const auto input =
            programs.input == 0 ? 0 : std::min<std::uint64_t>(from.input(), round_up(programs.input));
        from.set_input(static_cast<std::uint32_t>(input));
        for (const auto& [line, lines] : programs.lines) narrow_line(rule, from, line.first, lines);
    }
}

void narrow_accounts(ipc::AccountTemplate& accounts, const RuleUse& use) {
    const ipc::AccountTemplate before = accounts;
    accounts.clear_accounts();
    accounts.clear_any_user();
    for (const std::string& user : use.users) {
        const auto known = std::ranges::find(before.accounts(), user, &ipc::Account::name);
        if (known != before.accounts().end())
            *accounts.add_accounts() = *known;
        else
            accounts.add_accounts()->set_name(user);
    }
    if (use.commands.has(CommandId::kSetUserPassword))
        accounts.set_crypted_only(!use.has_plain_password || before.crypted_only());
    if (!use.has_reset) accounts.clear_reset();
    const bool has_strange = std::ranges::any_of(
        use.keys, [](const std::string& key) { return key.empty() || key.find(' ') != key.npos; });
    if (use.keys.empty() || (before.any_key() && has_strange)) return;
    accounts.clear_any_key();
    accounts.clear_key_types();
    for (const std::string& key : use.keys) accounts.add_key_types(key.substr(key.rfind(' ') + 1));
}

void narrow_spans(ipc::SetRule::Spans& spans, const std::set<std::uint64_t>& numbers) {
    if (numbers.empty()) return;
    spans.clear_any();
    spans.clear_span();
    for (const std::uint64_t number : numbers) {
        const int count = spans.span_size();
        if (count != 0 && spans.span(count - 1).most() + 1 == number)
            spans.mutable_span(count - 1)->set_most(number);
        else {
            ipc::SetRule::Spans::Span& span = *spans.add_span();
            span.set_least(number);
            span.set_most(number);
        }
    }
}

/// False if nothing has needed it.
bool narrow_set(ipc::SetRule& set, const RuleUse& use) {
    if (set.has_vcpus()) {
        narrow_spans(*set.mutable_vcpus()->mutable_cpus(), use.cpus);
        return use.commands.has(CommandId::kSetVcpus);
    }
    if (set.has_blocks()) {
        narrow_spans(*set.mutable_blocks(), use.blocks);
        return use.commands.has(CommandId::kSetMemoryBlocks);
    }
    const auto step = std::ranges::lower_bound(kSteps, use.step_ms);
    // How far the hardware clock is off, no log says.
    if (step == kSteps.end() || use.from_hardware_clock) return use.commands.has(CommandId::kSetTime);
    ipc::SetRule::Step& time = *set.mutable_time();
    time.set_max_ms(time.any() ? *step : std::min(time.max_ms(), *step));
    time.clear_any();
    return use.commands.has(CommandId::kSetTime);
}

void narrow_sets(compiled::Rule& rule, const RuleUse& use) {
    const compiled::Rule before = rule;
    rule.clear_sets();
    for (ipc::SetRule set : before.sets())
        if (narrow_set(set, use)) *rule.add_sets() = set;
}

void narrow_rule(compiled::Rule& rule, RuleUse& use) {
    rule.clear_commands();
    for (const Command& row : kCommands)
        if (use.commands.has(row.id)) rule.add_commands(static_cast<std::uint32_t>(row.id));
    narrow_files(rule, use);
    narrow_programs(rule, use);
    narrow_sets(rule, use);
    const auto has_constraint = [&](Constraint wanted) {
        return uses(use, [&](const Command& row) { return row.constraint == wanted; });
    };
    if (!has_constraint(Constraint::kFreeze)) {
        rule.clear_freeze();
        rule.clear_hooks();
    }
    if (has_constraint(Constraint::kUsers))
        narrow_accounts(*rule.mutable_accounts(), use);
    else
        rule.clear_accounts();
    rule.clear_modes();
    for (const auto& [mode, word] : {std::pair(Mode::kHalt, compiled::Rule::HALT),
                                     std::pair(Mode::kPowerdown, compiled::Rule::POWERDOWN),
                                     std::pair(Mode::kReboot, compiled::Rule::REBOOT)})
        if (use.modes.test(static_cast<std::size_t>(mode))) rule.add_modes(word);
    if (!uses(use, [](const Command& row) { return row.group == Group::kPower; })) rule.clear_method();
    if (!uses(use, [](const Command& row) { return row.answered_by == AnsweredBy::kInspector; }))
        rule.clear_reply();
}

}  // namespace

compiled::Compiled Learnt::narrowed(const compiled::Compiled& from) {
    compiled::Compiled narrow = from;
    narrow.clear_rules();
    for (int at = 0; at < from.rules_size(); ++at) {
        const compiled::Rule& rule = from.rules(at);
        const auto use = rules_.find(static_cast<std::size_t>(at));
        const bool is_deny = rule.effect() != compiled::Rule::ALLOW;
        if (!is_deny && use == rules_.end()) continue;
        compiled::Rule& left = *narrow.add_rules() = rule;
        if (!is_deny) narrow_rule(left, use->second);
    }
    return narrow;
}

}  // namespace sallyport::policy::log
