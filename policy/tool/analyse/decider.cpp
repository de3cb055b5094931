#include "policy/tool/analyse/decider.hpp"

#include <algorithm>
#include <array>

#include "broker/freeze_plan/plan.hpp"
#include "inspector/shown.hpp"
#include "policy/tool/analyse/orders.hpp"

namespace sallyport::policy::analyse {

namespace {

constexpr Access kRead{.read = true};
constexpr Access kWrite{.write = true};
constexpr Access kBoth{.read = true, .write = true};
constexpr std::array kOpenModes{OpenMode{"r", kRead, false}, OpenMode{"w", kWrite, true},
                                OpenMode{"r+", kBoth, false}, OpenMode{"w+", kBoth, true}};

Term text_term(std::string_view key, std::string text) {
    return {.key = key, .text = std::move(text)};
}

Term number_term(std::string_view key, std::uint64_t number) {
    return {.key = key, .order = Term::Order::kAtMost, .text = std::to_string(number), .number = number};
}

std::string octal(std::uint32_t bits) {
    std::string text = "0000";
    for (std::size_t at = 4; at > 0; bits >>= 3U) text[--at] = static_cast<char>('0' + (bits & 7U));
    return text;
}

std::string joined(const auto& texts) {
    std::string all;
    for (const auto& text : texts) all.append(all.empty() ? "" : " ").append(text);
    return all;
}

std::vector<Term> terms_of_file(const FileRule& file, bool is_new) {
    std::vector<Term> terms;
    terms.push_back(number_term("max_size", file.max_size.value_or(UINT64_MAX)));
    if (is_new)
        terms.push_back({.key = "create_mode",
                         .order = Term::Order::kBits,
                         .text = octal(file.create_mode),
                         .number = file.create_mode});
    return terms;
}

std::vector<Term> terms_of_program(const ipc::ExecTemplate& one) {
    std::string groups = std::to_string(one.gid());
    for (const std::uint32_t group : one.groups()) groups += " " + std::to_string(group);
    const ipc::ExecConfine& confine = one.confine();
    std::vector<Term> terms;
    terms.push_back(text_term("run_as", std::to_string(one.uid())));
    terms.push_back(text_term("groups", groups));
    terms.push_back(text_term("env", joined(one.env())));
    terms.push_back(number_term("output", one.output()));
    terms.push_back(number_term("max_runtime", one.max_runtime_ms()));
    terms.push_back(number_term("concurrent", one.concurrent()));
    terms.push_back(number_term("network", confine.no_network() ? 0 : 1));
    terms.push_back(number_term("new_privileges", confine.no_new_privileges() ? 0 : 1));
    terms.push_back({.key = "write", .order = Term::Order::kOnlyIn, .text = joined(confine.write())});
    // 0 is no limit.
    terms.push_back(number_term("memory", confine.memory() - 1));
    terms.push_back(number_term("tasks", std::uint64_t{confine.tasks()} - 1));
    return terms;
}

std::vector<Term> terms_of_freeze(const Rule& rule) {
    std::vector<Term> terms;
    terms.push_back(number_term("max_frozen", rule.freeze->max_frozen_ms()));
    terms.push_back(number_term("per_mount", rule.freeze->per_mount_ms()));
    terms.push_back(number_term("already_frozen", rule.freeze->fail_if_frozen() ? 0 : 1));
    terms.push_back(text_term("hooks", rule.hooks));
    return terms;
}

// Whom "any" stands for is looked up when a host asks.
std::vector<Term> terms_of_accounts(const ipc::AccountTemplate& accounts, CommandId command) {
    const bool is_any = accounts.any_user();
    std::vector<Term> terms{{.key = "users",
                             .order = Term::Order::kAtMost,
                             .text = is_any ? "any" : "by name",
                             .number = is_any ? 1U : 0U}};
    if (command == CommandId::kSshAddAuthorizedKeys)
        terms.push_back(number_term("max_keys", accounts.max_keys()));
    return terms;
}

std::vector<Term> terms_of_set(const ipc::SetRule& one) {
    if (one.has_time())
        return {number_term("max_step", one.time().any() ? UINT64_MAX : std::uint64_t{one.time().max_ms()})};
    if (!one.has_vcpus()) return {};
    // More that stay online is narrower.
    const std::uint64_t least = one.vcpus().min_online();
    return {{.key = "min_online",
             .order = Term::Order::kAtMost,
             .text = std::to_string(least),
             .number = UINT64_MAX - least}};
}

inspector::Names names_of(CommandId command) {
    if (command == CommandId::kNetworkGetInterfaces || command == CommandId::kNetworkGetRoute)
        return &ipc::ReplyFilter::interfaces;
    if (command == CommandId::kGetFsinfo) return &ipc::ReplyFilter::mounts;
    if (command == CommandId::kGetUsers) return &ipc::ReplyFilter::users;
    return nullptr;
}

freeze_plan::Mount mount_at(const MountWish& wish, const std::string& point, std::uint64_t id) {
    return {.id = id,
            .parent = 1,
            .device = {.major = wish.is_local ? 8U : 0U, .minor = 1},
            .point = point,
            .type = wish.type,
            .source = wish.source};
}

// By the guard's own planning, of a guest in which nothing else is mounted.
bool selects(const ipc::FreezeSelection& selection, const MountWish& wish) {
    std::vector<freeze_plan::Mount> mounts{mount_at(wish, wish.point, 2)};
    if (!wish.also.empty() && wish.also != wish.point) mounts.push_back(mount_at(wish, wish.also, 3));
    const auto systems =
        freeze_plan::plan(mounts, selection, [](const auto&) { return std::vector<std::string>{}; });
    return !systems.empty() && systems.front().skipped == nullptr;
}

}  // namespace

Subject subject_of(CommandId command) {
    const Command& row = command_row(command);
    if (row.answered_by == AnsweredBy::kInspector) return Subject::kInspect;
    switch (row.constraint) {
        case Constraint::kFiles:
            return Subject::kFiles;
        case Constraint::kFreeze:
            return Subject::kFreeze;
        case Constraint::kModes:
            return Subject::kShutdown;
        case Constraint::kExec:
            return Subject::kExec;
        case Constraint::kUsers:
            return Subject::kAccounts;
        case Constraint::kTime:
            return Subject::kClock;
        case Constraint::kVcpus:
            return Subject::kProcessors;
        case Constraint::kMemory:
            return Subject::kBlocks;
        case Constraint::kNone:
            return Subject::kPlain;
    }
    check_failed();
}

std::span<const OpenMode> open_modes() {
    return kOpenModes;
}

namespace {

std::vector<Term> own_terms_of(const Rule& rule, std::size_t entry, const Request& request) {
    switch (subject_of(request.command)) {
        case Subject::kFiles:
            return terms_of_file(rule.files[entry], request.file.is_new);
        case Subject::kExec:
            return terms_of_program(rule.exec[entry]);
        case Subject::kFreeze:
            return terms_of_freeze(rule);
        case Subject::kShutdown:
        case Subject::kPlain:
            if (command_row(request.command).group != Group::kPower) return {};
            return {text_term("method", std::to_string(static_cast<int>(rule.method)))};
        case Subject::kAccounts:
            return terms_of_accounts(*rule.accounts, request.command);
        case Subject::kClock:
        case Subject::kProcessors:
        case Subject::kBlocks:
            return terms_of_set(*set_rule_of(rule, request.command));
        case Subject::kInspect:
            return {};
    }
    check_failed();
}

// How much of it; a budget is narrower if it is so in everything.
void add_budget(const Budget& budget, std::vector<Term>& terms) {
    constexpr std::int64_t kDayNs = 86'400'000'000'000;
    const auto add = [&](std::string_view key, std::uint64_t amount, std::int64_t per_ns) {
        const auto times = per_ns == 0 ? 1U : static_cast<std::uint64_t>(kDayNs / per_ns);
        Term term{.key = key, .order = Term::Order::kAtMost, .text = "any", .number = UINT64_MAX};
        if (amount != 0) term.text = std::to_string(term.number = amount * times);
        terms.push_back(std::move(term));
    };
    add("rate a day", budget.rate.amount, budget.rate.per_ns);
    add("burst", budget.rate.burst, 0);
    add("bytes a day", budget.bytes.amount, budget.bytes.per_ns);
    add("bytes at once", budget.bytes.burst, 0);
    add("concurrent", budget.concurrent, 0);
}

}  // namespace

std::vector<Term> terms_of(const Rule& rule, std::size_t entry, const Request& request) {
    std::vector<Term> terms = own_terms_of(rule, entry, request);
    if (is_counted(command_row(request.command))) add_budget(rule.budget, terms);
    return terms;
}

Decider::Decider(const Policy& policy)
    : policy_(policy),
      templates_(exec_templates(policy)),
      accounts_(account_templates(policy)),
      sets_(set_rules(policy)) {
    for (std::size_t at = 0; at < policy.rules.size(); ++at) {
        const Rule& rule = policy.rules[at];
        if (!templates_.empty())
            for (std::size_t entry = 0; entry < rule.exec.size(); ++entry) owners_.emplace_back(at, entry);
        // As the agent tells its inspector.
        if (rule.effect != Effect::kAllow) continue;
        ipc::ReplyRule& row = *replies_.add_rules();
        for (const Command& command : kCommands)
            if (rule.commands.has(command.id)) row.add_commands(static_cast<std::uint32_t>(command.id));
        set_live(rule, *row.mutable_live());
        if (rule.reply) *row.mutable_filter() = *rule.reply;
    }
}

const Decision& Decider::whole(CommandId command, WallTime now) const {
    const auto [place, is_new] = wholes_.try_emplace({command, now});
    if (is_new) place->second = decide_command(policy_, command, now);
    return place->second;
}

Outcome Decider::decide_open(const Request& request) const {
    const FileWish& wish = request.file;
    Open open{wish.path, wish.mode, wish.is_new, request.time};
    if (!open_ || open_->first != open) {
        const auto path = GuestPath::parse(wish.path, "/");
        if (!path) return {};
        Access wanted = kOpenModes[wish.mode].wanted;
        wanted.create = wish.is_new;
        open_.emplace(std::move(open), decide_file_open(policy_, *path, wanted, request.time));
    }
    const Decision& decision = open_->second;
    if (!decision.is_allowed()) return {.why = decision.why, .rule = decision.rule};
    for (const Grant& grant : decision.grants) {
        const FileRule& file = policy_.rules[grant.rule].files[grant.file];
        if (wish.is_link && !file.follow_symlinks) continue;
        if (!wish.is_new && !accepts_file(file, wish.found)) continue;
        return {.why = Why::kAllowed, .rule = grant.rule, .entry = grant.file};
    }
    return {};
}

Outcome Decider::decide_program(const Request& request) const {
    const ExecWish& wish = request.exec;
    ExecRequest want{.program = wish.program};
    want.args.assign(wish.args.begin(), wish.args.end());
    if (wish.env) want.env = ExecWords(wish.env->begin(), wish.env->end());
    want.input = wish.input;
    const ExecDecision decision = decide_exec(templates_, want, request.time);
    if (decision.at < 0) return {};
    const auto [rule, entry] = owners_[static_cast<std::size_t>(decision.at)];
    return {.why = Why::kAllowed, .rule = rule, .entry = entry};
}

// Of several rules the compiler sees to it that they say the same; the first of them counts.
Outcome Decider::decide_mount(const Request& request, const Outcome& whole) const {
    if (request.mount.point.empty()) return whole;
    const bool is_selected = selects(*policy_.rules[whole.rule].freeze, request.mount);
    return is_selected ? whole : Outcome{};
}

Outcome Decider::decide_reply(const Request& request, const Outcome& whole) const {
    const inspector::Names names = names_of(request.command);
    const bool has_name = names != nullptr && !request.reply.name.empty();
    const inspector::Asked asked{.rules = replies_, .command = request.command, .now = request.time};
    const auto shown = inspector::shown(asked, has_name ? names : nullptr, request.reply.name);
    const bool is_left_out =
        request.reply.member != 0 && shown.without[static_cast<std::size_t>(request.reply.member)];
    return shown.is_shown && !is_left_out ? whole : Outcome{};
}

std::size_t Decider::rule_named(std::string_view id) const {
    const auto found = std::ranges::find(policy_.rules, id, &Rule::id);
    SALLYPORT_CHECK(found != policy_.rules.end());
    return static_cast<std::size_t>(found - policy_.rules.begin());
}

Outcome Decider::decide_accounts(const Request& request) const {
    const AccountDecision decision = decide_account(accounts_, account_request_of(request), request.time);
    if (decision.at < 0) return {};
    return {.why = Why::kAllowed, .rule = rule_named(accounts_[decision.at].rule())};
}

Outcome Decider::decide_setting(const Request& request) const {
    const SetDecision decision = decide_set(sets_, set_order_of(request), clocks_of(request));
    if (decision.at < 0) return {};
    return {.why = Why::kAllowed, .rule = rule_named(sets_[decision.at].rule())};
}

Outcome Decider::decide(const Request& request) const {
    const Decision& found = whole(request.command, request.time);
    Outcome outcome{.why = found.why, .rule = found.rule};
    if (!found.is_allowed()) return outcome;
    switch (subject_of(request.command)) {
        case Subject::kFiles:
            outcome = decide_open(request);
            break;
        case Subject::kExec:
            outcome = decide_program(request);
            break;
        case Subject::kFreeze:
            outcome = decide_mount(request, outcome);
            break;
        case Subject::kInspect:
            outcome = decide_reply(request, outcome);
            break;
        case Subject::kShutdown: {
            const Decision decision = decide_shutdown(policy_, request.shutdown, request.time);
            outcome = {.why = decision.why, .rule = decision.rule};
            break;
        }
        case Subject::kAccounts:
            outcome = decide_accounts(request);
            break;
        case Subject::kClock:
        case Subject::kProcessors:
        case Subject::kBlocks:
            outcome = decide_setting(request);
            break;
        case Subject::kPlain:
            break;
    }
    if (outcome.is_allowed() && outcome.rule != kNoRule)
        outcome.terms = terms_of(policy_.rules[outcome.rule], outcome.entry, request);
    return outcome;
}

}  // namespace sallyport::policy::analyse
