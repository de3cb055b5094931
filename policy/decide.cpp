// Runs in:  broker and files, after lockdown(); starter; the policy tool
#include "policy/decide.hpp"

#include <algorithm>

namespace sallyport::policy {

namespace {

/// A deny rule without files and modes forbids its commands altogether; otherwise it only judges paths and modes.
bool denies_whole_command(const Rule& rule) {
    return rule.effect == Effect::kDeny && rule.files.empty() && rule.modes.none();
}

/// A deny rule without `access` is about every access.
bool is_about(const FileRule& denied, Access wanted) {
    return denied.access == Access{} || denied.access.overlaps(wanted);
}

bool denies(const FileRule& file, const GuestPath& path, Access wanted) {
    return path.is_within(file.under) && is_about(file, wanted);
}

bool denies_open(const Rule& rule, const GuestPath& path, Access wanted) {
    return rule.files.empty() ||
           std::ranges::any_of(rule.files, [&](const FileRule& file) { return denies(file, path, wanted); });
}

bool accepts_kind(const Kinds& kinds, Kind kind) {
    switch (kind) {
        case Kind::kRegular:
            return kinds.regular;
        case Kind::kDirectory:
            return kinds.directory;
        case Kind::kFifo:
            return kinds.fifo;
        case Kind::kSocket:
            return kinds.socket;
        case Kind::kCharacterDevice:
            return kinds.character_device;
        case Kind::kBlockDevice:
            return kinds.block_device;
    }
    check_failed();
}

/// What is allowed by the rules for which `counts` is true.
Reach reach(const Policy& policy, const auto& counts) {
    Reach allowed;
    Reach denied;
    for (const Rule& rule : policy.rules) {
        if (!counts(rule)) continue;
        Reach& to = rule.effect == Effect::kAllow ? allowed : denied;
        to.modes |= rule.modes;
        if (rule.effect == Effect::kAllow || denies_whole_command(rule)) to.commands |= rule.commands;
    }
    allowed.commands -= denied.commands;
    allowed.commands &= policy.narrowed_to;
    allowed.modes &= ~denied.modes;
    if (!allowed.commands.has(CommandId::kShutdown)) allowed.modes.reset();
    if (allowed.modes.none()) allowed.commands.remove(CommandId::kShutdown);
    return allowed;
}

Decision decide_any_mode(const Policy& policy, Moment now) {
    Decision decision{.why = Why::kNoRuleMatches};
    for (const Mode mode : {Mode::kHalt, Mode::kPowerdown, Mode::kReboot}) {
        const Decision one = decide_shutdown(policy, mode, now);
        if (one.is_allowed()) return one;
        if (one.why == Why::kDenied) decision = one;
    }
    return decision;
}

}  // namespace

bool is_in_time(const Rule& rule, Moment now) {
    const auto counts = rule.effect == Effect::kAllow ? ipc::Counts::kToAllow : ipc::Counts::kToDeny;
    return (!rule.expires || now.latest < *rule.expires) &&
           (!rule.when || ipc::is_within(*rule.when, now, counts));
}

Reach reach_of(const Policy& policy) {
    return reach(policy, [](const Rule& rule) {
        return rule.effect == Effect::kAllow || (!rule.expires && !rule.when);
    });
}

void set_live(const Rule& rule, ipc::LiveTime& to) {
    if (rule.expires) to.set_expires(*rule.expires);
    if (rule.when) *to.mutable_when() = *rule.when;
}

std::vector<std::size_t> freeze_rules(const Policy& policy) {
    const CommandSet reached = reach_of(policy).commands;
    std::vector<std::size_t> rules;
    for (std::size_t at = 0; at < policy.rules.size(); ++at) {
        const Rule& rule = policy.rules[at];
        const auto is_by = [&](const Command& row) {
            return row.constraint == Constraint::kFreeze && rule.commands.has(row.id) && reached.has(row.id);
        };
        if (rule.freeze && std::ranges::any_of(kCommands, is_by)) rules.push_back(at);
    }
    return rules;
}

std::optional<ipc::Times> times_of(const Policy& policy, const Rule& rule, CommandId command) {
    if (!policy.narrowed_to.has(command)) return std::nullopt;
    ipc::Times times;
    set_live(rule, *times.mutable_own());
    for (const Rule& other : policy.rules) {
        if (!other.commands.has(command) || !denies_whole_command(other)) continue;
        if (!other.expires && !other.when) return std::nullopt;
        set_live(other, *times.add_denied());
    }
    return times;
}

Decision decide_command(const Policy& policy, CommandId command, Moment now) {
    if (!policy.narrowed_to.has(command)) return {.why = Why::kNarrowed};
    if (command == CommandId::kShutdown) return decide_any_mode(policy, now);
    const bool is_floor = floor_commands().has(command);
    std::size_t allowing = kNoRule;
    std::size_t next = 0;
    for (const Rule& rule : policy.rules) {
        const std::size_t at = next++;
        if (!rule.commands.has(command) || !is_live(rule, now)) continue;
        if (rule.effect == Effect::kAllow) {
            allowing = std::min(allowing, at);
        } else if (denies_whole_command(rule) && !is_floor) {
            return {.why = Why::kDenied, .rule = at};
        }
    }
    // INVARIANT: no rule can take the floor away, and the floor needs no rule.
    if (allowing != kNoRule || is_floor) return {.why = Why::kAllowed, .rule = allowing};
    return {.why = Why::kNoRuleMatches};
}

Decision decide_file_open(const Policy& policy, const GuestPath& path, Access wanted, Moment now) {
    if (!policy.narrowed_to.has(CommandId::kFileOpen)) return {.why = Why::kNarrowed};
    // An empty access would be covered by every allow rule and overlap with no deny rule; no open mode has one.
    if (wanted == Access{}) return {.why = Why::kNoRuleMatches};
    std::vector<Grant> grants;
    // Of each entry the path is compared first: few are about it.
    std::size_t next = 0;
    for (const Rule& rule : policy.rules) {
        const std::size_t at = next++;
        if (!rule.commands.has(CommandId::kFileOpen) || !is_live(rule, now)) continue;
        const bool is_deny = rule.effect == Effect::kDeny;
        if (is_deny && denies_open(rule, path, wanted)) return {.why = Why::kDenied, .rule = at};
        if (is_deny) continue;
        std::size_t place = 0;
        for (const FileRule& file : rule.files) {
            if (path.is_within(file.under) && file.access.covers(wanted))
                grants.push_back({.rule = at, .file = place, .terms = {file.max_size}});
            ++place;
        }
    }
    if (grants.empty()) return {.why = Why::kNoRuleMatches};
    // Directories that contain the same path are nested, so the longest text is the deepest.
    const auto depth = [&](Grant grant) { return policy.rules[grant.rule].files[grant.file].under.size(); };
    std::ranges::stable_sort(grants, std::ranges::greater{}, depth);
    return {.why = Why::kAllowed, .rule = grants.front().rule, .grants = std::move(grants)};
}

bool accepts_file(const FileRule& rule, const FoundFile& file) {
    const bool is_regular = file.kind == Kind::kRegular;
    if (!accepts_kind(rule.kinds, file.kind)) return false;
    if (!rule.owners.empty() && std::ranges::find(rule.owners, file.owner) == rule.owners.end()) return false;
    if (is_regular && file.links > 1 && !rule.any_links) return false;
    if (is_regular && file.is_setid && !rule.any_setid) return false;
    return !is_regular || !rule.max_size || file.size <= *rule.max_size;
}

std::vector<Grant> denials(const Policy& policy, Access wanted, Moment now) {
    std::vector<Grant> found;
    for (std::size_t at = 0; at < policy.rules.size(); ++at) {
        const Rule& rule = policy.rules[at];
        if (rule.effect != Effect::kDeny || !rule.commands.has(CommandId::kFileOpen) || !is_live(rule, now))
            continue;
        for (std::size_t file = 0; file < rule.files.size(); ++file)
            if (is_about(rule.files[file], wanted)) found.push_back({.rule = at, .file = file});
    }
    return found;
}

bool leads_to_allowed(const Policy& policy, const GuestPath& path, Access wanted, Moment now) {
    const auto leads = [&](const FileRule& file) {
        const auto under = GuestPath::parse(file.under, "/");
        return file.access.covers(wanted) && under && under->is_within(path.text());
    };
    return std::ranges::any_of(policy.rules, [&](const Rule& rule) {
        return rule.effect == Effect::kAllow && rule.commands.has(CommandId::kFileOpen) &&
               is_live(rule, now) && std::ranges::any_of(rule.files, leads);
    });
}

Decision decide_shutdown(const Policy& policy, Mode mode, Moment now) {
    if (!policy.narrowed_to.has(CommandId::kShutdown)) return {.why = Why::kNarrowed};
    std::size_t allowing = kNoRule;
    for (std::size_t at = 0; at < policy.rules.size(); ++at) {
        const Rule& rule = policy.rules[at];
        const bool is_about = rule.modes.test(static_cast<std::size_t>(mode)) || denies_whole_command(rule);
        if (!is_about || !rule.commands.has(CommandId::kShutdown) || !is_live(rule, now)) continue;
        if (rule.effect == Effect::kDeny) return {.why = Why::kDenied, .rule = at};
        if (allowing == kNoRule) allowing = at;
    }
    return {.why = allowing == kNoRule ? Why::kNoRuleMatches : Why::kAllowed, .rule = allowing};
}

CommandSet enabled_commands(const Policy& policy, Moment now) {
    CommandSet allowed = reach(policy, [now](const Rule& rule) { return is_live(rule, now); }).commands;
    allowed |= floor_commands();
    allowed &= policy.narrowed_to;
    return allowed;
}

}  // namespace sallyport::policy
