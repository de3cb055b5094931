// Reads the compiled policy. The compiler has checked all of this too, but it parsed text, so it is not trusted.
// Runs in:  starter; broker and files, before lockdown(); the policy tool
// Input:    the output of sallyport-policy compile
// Relies on: ipc/codec.cpp for the shape
//
// THREAT: a policy text takes over the compiler, which then writes any bytes here. It can grant what the admin did not. It can
// neither break a promise of decide.hpp nor make the broker allocate beyond its limits.
#include <algorithm>
#include <bitset>
#include <unordered_set>

#include "base/clock.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"
#include "policy/accounts.hpp"
#include "policy/check_rule.hpp"
#include "policy/decide.hpp"
#include "policy/exec.hpp"
#include "policy/policy.pb.h"
#include "policy/set.hpp"

namespace sallyport::policy {

namespace {

constexpr std::string_view kIdLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
constexpr std::size_t kMaxIdSize = 64;
constexpr std::size_t kDigestSize = 32;
constexpr std::size_t kMaxSetTable = kMaxFrame / 8;
constexpr std::size_t kMaxWhereSize = kMaxPath + 16;  // FILE:LINE
constexpr std::uint32_t kModeBits = 0777;
constexpr std::uint32_t kNobody = 0xFFFFFFFF;  // (uid_t)-1, VMADDR_CID_ANY

std::unexpected<Error> invalid(const char* what) {
    return failure(Errc::kInvalid, what);
}

/// Strictly ascending: the only form in which the compiler writes a set.
template <typename Numbers>
bool is_ascending(const Numbers& numbers) {
    return std::ranges::adjacent_find(numbers, std::ranges::greater_equal{}) == numbers.end();
}

using Words = std::bitset<20>;

/// Values of an enum whose greatest is `last`; 0 is UNSPECIFIED, which is refused.
Result<Words> load_words(const google::protobuf::RepeatedField<int>& from, int last) {
    if (!is_ascending(from)) return invalid("policy: words not ascending");
    Words words;
    for (const int word : from) {
        if (word < 1 || word > last) return invalid("policy: unknown word");
        words.set(static_cast<std::size_t>(word));
    }
    return words;
}

Access to_access(const Words& words) {
    using Is = compiled::FileRule;
    return {.read = words[Is::READ], .write = words[Is::WRITE], .create = words[Is::CREATE]};
}

Kinds to_kinds(const Words& words) {
    using Is = compiled::FileRule;
    return {.regular = words.none() || words[Is::REGULAR],
            .directory = words[Is::DIRECTORY],
            .fifo = words[Is::FIFO],
            .socket = words[Is::SOCKET],
            .character_device = words[Is::CHARACTER_DEVICE],
            .block_device = words[Is::BLOCK_DEVICE]};
}

Result<std::vector<std::uint32_t>> load_numbers(const google::protobuf::RepeatedField<std::uint32_t>& from) {
    if (!is_ascending(from) || std::ranges::find(from, kNobody) != from.end())
        return invalid("policy: numbers not ascending, or nobody's");
    return std::vector<std::uint32_t>(from.begin(), from.end());
}

/// Limits of a grant mean nothing in a deny rule; our compiler never writes them there.
bool has_limits(const compiled::FileRule& from) {
    return from.has_max_size() || from.has_create_mode() || !from.owners().empty() || !from.kinds().empty() ||
           from.follow_symlinks() || from.any_links() || from.any_setid();
}

Status check_file(const compiled::FileRule& from, Effect effect, Access access) {
    if (!is_directory_name(from.under())) return invalid("policy: directory not in normal form");
    if (from.create_mode() > kModeBits) return invalid("policy: create_mode is more than permissions");
    const bool grants = access != Access{} && (access.write || !access.create);
    if (effect == Effect::kAllow && !grants) return invalid("policy: allow rule that grants nothing");
    if (effect == Effect::kDeny && has_limits(from)) return invalid("policy: limits in a deny rule");
    return {};
}

Result<FileRule> load_file(const compiled::FileRule& from, Effect effect) {
    const auto access = TRY(load_words(from.access(), compiled::FileRule::Access_MAX));
    const auto kinds = TRY(load_words(from.kinds(), compiled::FileRule::Kind_MAX));
    auto owners = TRY(load_numbers(from.owners()));
    TRY(check_file(from, effect, to_access(access)));
    return FileRule{
        .under = from.under(),
        .access = to_access(access),
        .max_size = from.has_max_size() ? std::optional(from.max_size()) : std::nullopt,
        .owners = std::move(owners),
        .kinds = to_kinds(kinds),
        .follow_symlinks = from.follow_symlinks(),
        .any_links = from.any_links(),
        .any_setid = from.any_setid(),
        .create_mode = from.has_create_mode() ? from.create_mode() : FileRule{}.create_mode,
    };
}

Status check_reply(const ipc::ReplyFilter& filter) {
    for (const auto* names : {&filter.interfaces(), &filter.mounts(), &filter.users()})
        for (const std::string& name : *names)
            if (name.empty() || name.size() > kMaxPath) return invalid("policy: bad reply filter");
    if (!load_words(filter.without(), ipc::ReplyFilter::Member_MAX))
        return invalid("policy: bad reply filter");
    return {};
}

Result<Budget> load_budget(const compiled::Budget& from) {
    const auto flow = [](std::uint64_t amount, std::uint64_t burst, std::uint32_t ms) {
        return Flow{.amount = amount, .burst = burst, .per_ns = std::int64_t{ms} * kNsPerMs};
    };
    const Budget budget{.rate = flow(from.requests(), from.burst(), from.per_ms()),
                        .bytes = flow(from.bytes(), from.bytes(), from.bytes_per_ms()),
                        .concurrent = from.concurrent()};
    if (!is_flow(budget.rate) || !is_flow(budget.bytes) || budget == Budget{})
        return invalid("policy: bad budget");
    return budget;
}

Result<CommandSet> load_commands(const compiled::Rule& from) {
    if (from.commands().empty()) return invalid("policy: rule without commands");
    if (!is_ascending(from.commands())) return invalid("policy: commands not ascending");
    CommandSet commands;
    for (const std::uint32_t number : from.commands()) {
        const auto command = command_from_number(number);
        if (!command) return invalid("policy: unknown command");
        commands.add(*command);
    }
    return commands;
}

// What broker and launcher decide by, each by its own copy.
Status load_templates(const compiled::Rule& from, Rule& rule) {
    for (const ipc::ExecTemplate& each : from.exec()) {
        TRY(check_template(each));
        rule.exec.push_back(each);
    }
    if (from.has_accounts()) {
        TRY(check_account_template(from.accounts()));
        rule.accounts = from.accounts();
    }
    for (const ipc::SetRule& each : from.sets()) {
        TRY(check_set_rule(each));
        rule.sets.push_back(each);
    }
    return {};
}

Result<Rule> load_rule(const compiled::Rule& from) {
    if (!is_rule_id(from.id())) return invalid("policy: bad rule id");
    if (from.where().empty() || from.where().size() > kMaxWhereSize) return invalid("policy: no place");
    if (from.has_expires() && from.expires() <= 0) return invalid("policy: bad time of expiry");
    const bool is_allow = from.effect() == compiled::Rule::ALLOW;
    if (!is_allow && from.effect() != compiled::Rule::DENY) return invalid("policy: unknown effect");
    const auto commands = load_commands(from);
    if (!commands) return std::unexpected(commands.error());

    Rule rule{.id = from.id(),
              .where = from.where(),
              .effect = is_allow ? Effect::kAllow : Effect::kDeny,
              .commands = *commands};
    if (from.has_expires()) rule.expires = from.expires();
    if (from.has_when()) {
        TRY(ipc::check(from.when()));
        rule.when = from.when();
    }
    if (from.has_freeze()) rule.freeze = from.freeze();
    if (from.has_budget()) rule.budget = TRY(load_budget(from.budget()));
    rule.hooks = from.hooks();
    for (const compiled::FileRule& each : from.files()) {
        auto file = load_file(each, rule.effect);
        if (!file) return std::unexpected(file.error());
        rule.files.push_back(*std::move(file));
    }
    const auto modes = load_words(from.modes(), compiled::Rule::Mode_MAX);
    if (!modes || !compiled::Rule::Method_IsValid(from.method())) return invalid("policy: unknown word");
    rule.modes = modes->to_ulong();
    rule.method = static_cast<Method>(from.method());
    if (from.has_reply()) {
        TRY(check_reply(from.reply()));
        rule.reply = from.reply();
    }
    TRY(load_templates(from, rule));
    if (const auto status = check_rule(rule); !status) return std::unexpected(status.error());
    return rule;
}

// What rules have in common, those that decide and those that only dry-run.
struct Taken {
    std::unordered_set<std::string_view> ids;
    std::size_t entries = 0;  // a rule without files also counts
};

using Rules = google::protobuf::RepeatedPtrField<compiled::Rule>;

Status load_dry_runs(const Rules& from, Taken& taken, Policy& policy) {
    for (const compiled::Rule& each : from) {
        taken.entries += std::max<std::size_t>(1, static_cast<std::size_t>(each.files().size()));
        if (taken.entries > kMaxRules) return failure(Errc::kLimit, "policy: too many rules");
        if (!taken.ids.insert(each.id()).second) return invalid("policy: rule id used twice");
        if (!each.has_expires()) return invalid("policy: a dry run without an end");
        policy.dry_runs.push_back(TRY(load_rule(each)));
    }
    return {};
}

Status load_rules(const compiled::Compiled& from, Policy& policy) {
    Taken taken;
    auto& [ids, entries] = taken;
    policy.rules.reserve(static_cast<std::size_t>(from.rules().size()));
    for (const compiled::Rule& each : from.rules()) {
        entries += std::max<std::size_t>(1, static_cast<std::size_t>(each.files().size()));
        if (entries > kMaxRules) return failure(Errc::kLimit, "policy: too many rules");
        if (!ids.insert(each.id()).second) return invalid("policy: rule id used twice");
        auto rule = load_rule(each);
        if (!rule) return std::unexpected(rule.error());
        // The launcher runs all hooks that it has, so there can be only one hook directory.
        const bool is_other = !rule->hooks.empty() && std::ranges::any_of(policy.rules, [&](const Rule& one) {
            return !one.hooks.empty() && one.hooks != rule->hooks;
        });
        if (is_other)
            return failure(Errc::kInvalid,
                           "policy: rules with different 'hooks'; a policy has one directory of them");
        policy.rules.push_back(*std::move(rule));
    }
    return load_dry_runs(from.dry_runs(), taken, policy);
}

// The launcher gets all templates in one frame.
Status check_sizes(const Policy& policy) {
    std::size_t started = 0;
    for (const ipc::AccountTemplate& one : account_templates(policy)) started += one.ByteSizeLong() + 32;
    std::size_t sets = 0;
    for (const Rule& rule : policy.rules) {
        for (const ipc::ExecTemplate& one : rule.exec) started += one.ByteSizeLong() + kMaxIdSize + 32;
        for (const ipc::SetRule& one : rule.sets) sets += one.ByteSizeLong() + kMaxIdSize + 32;
    }
    if (started > kMaxExecTable)
        return failure(Errc::kLimit, "policy: 'exec' tables and 'users' are too long in all");
    if (sets > kMaxSetTable)
        return failure(Errc::kLimit, "policy: 'time', 'vcpus' and 'memory' are too long in all");
    return {};
}

Result<AuditTerms> load_audit(const compiled::Audit& from) {
    AuditTerms terms{.goes_on = from.goes_on(), .journal_all = from.journal_all()};
    if (from.max_size() != 0) terms.max_size = from.max_size();
    if (from.keep() != 0) terms.keep = from.keep();
    if (terms.max_size < kMinLogSize || terms.max_size > kMaxLogSize || terms.keep > kMaxLogKeep)
        return invalid("policy: the audit log's size is out of bounds");
    return terms;
}

}  // namespace

bool is_rule_id(std::string_view text) {
    return !text.empty() && text.size() <= kMaxIdSize && text.find_first_not_of(kIdLetters) == text.npos;
}

Result<Policy> load(std::string_view compiled) {
    if (compiled.size() > kMaxCompiledSize) return failure(Errc::kLimit, "policy: compiled form too long");
    compiled::Compiled from;
    std::string scratch;
    TRY(ipc::decode(compiled, from, scratch));
    if (from.schema() != 1) return invalid("policy: unknown schema");
    if (from.digest().size() != kDigestSize) return invalid("policy: bad digest");

    Policy policy{.digest = from.digest(), .preview_names = from.preview_names()};
    TRY(load_rules(from, policy));
    auto uids = load_numbers(from.peers().uids());
    auto cids = load_numbers(from.peers().cids());
    if (!uids || !cids) return invalid("policy: peers are not numbers of anybody");
    policy.audit = TRY(load_audit(from.audit()));
    policy.peer_uids = *std::move(uids);
    policy.peer_cids = *std::move(cids);
    for (const Command& row : kCommands) policy.narrowed_to.add(row.id);
    TRY(check_sizes(policy));
    if (buckets(policy).size() > kMaxBuckets)
        return failure(Errc::kLimit, "policy: more than 128 budgets ('rate' and 'bytes')");
    return policy;
}

}  // namespace sallyport::policy
