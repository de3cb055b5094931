// Runs in:  files; built before lockdown()
#include "broker/files/table.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "broker/files/steady.hpp"
#include "broker/files/survey.hpp"

namespace sallyport::files {

namespace {

constexpr int kHeldFrom = 256;

// What a path named when the agent started.
struct AtStart {
    bool is_known = false;
    bool is_there = false;
    bool is_behind_link = false;
    Id id;
};

// Runs in a child, which may wait for ever.
Answer look_at_start(const std::string& path) {
    const MayAsk everybody = [](std::uint64_t) { return true; };
    AtStart seen;
    Named named = look_up_name(path, Links::kRefused, everybody);
    seen.is_behind_link = named.met_link;
    if (named.met_link) named = look_up_name(path, Links::kFollowed, everybody);
    seen.is_known = named.is_known;
    if (named.found.is_open()) {
        const auto facts = look_at(named.found);
        seen.is_there = facts.has_value();
        if (facts) seen.id = facts->id;
    }
    const auto keeps = seen.is_there ? keeps_numbers(named.found) : Result<bool>(true);
    const bool is_to_be_held = !keeps || !*keeps;
    // A number that is not kept is not that thing's in the next run.
    if (is_to_be_held) seen.id.made_ns = 0;
    std::string bytes(sizeof seen, '\0');
    std::memcpy(bytes.data(), &seen, sizeof seen);
    return {.bytes = std::move(bytes), .fd = is_to_be_held ? std::move(named.found) : UniqueFd()};
}

AtStart seen_in(const std::optional<Answer>& answer) {
    AtStart seen;
    if (answer && answer->bytes.size() == sizeof seen) std::memcpy(&seen, answer->bytes.data(), sizeof seen);
    return seen;
}

// The path of a deny rule, and the rule.
struct DeniedPath {
    policy::Grant rule;
    const std::string* path;
};

std::vector<DeniedPath> denied_paths(const policy::Policy& policy) {
    std::vector<DeniedPath> paths;
    for (std::size_t at = 0; at < policy.rules.size(); ++at) {
        const policy::Rule& rule = policy.rules[at];
        if (rule.effect != policy::Effect::kDeny) continue;
        for (std::size_t file = 0; file < rule.files.size(); ++file)
            paths.push_back({.rule = {.rule = at, .file = file}, .path = &rule.files[file].under});
    }
    return paths;
}

bool is_below_another(const std::vector<std::string>& all, const std::string& path) {
    return std::ranges::any_of(
        all, [&](const std::string& one) { return path != one && path.starts_with(one + "/"); });
}

}  // namespace

Forbidden::Forbidden(std::vector<Thing> things, const Scope& scope)
    : things_(std::move(things)), scope_(scope) {
    if (const auto root = look_at_path("/")) met_.insert(root->id.device);
}

// THREAT: a local user replaces his denied directory by a link to the root, so that everything would be denied. So links are
// followed only where the admin's own path contained one at the start.
void Forbidden::meet(std::span<const std::uint64_t> devices) {
    bool is_new = !has_looked_;
    for (const std::uint64_t device : devices) is_new |= met_.insert(device).second;
    if (!is_new) return;
    has_looked_ = true;
    look_up();
}

void Forbidden::meet_second_name() {
    if (std::exchange(looks_inside_, true)) return;
    look_up();
}

void Forbidden::look_up() {
    const MayAsk may_ask = [this](std::uint64_t device) { return met_.contains(device); };
    for (Thing& thing : things_) {
        if (thing.is_settled || (thing.is_inside && !looks_inside_)) continue;
        const Named named = look_up_name(*thing.path, thing.links, may_ask);
        thing.is_settled = named.is_known;
        const auto facts = named.found.is_open() ? std::optional(look_at(named.found)) : std::nullopt;
        if (facts && *facts) thing.today = (*facts)->id;
        const auto above = named.directory.is_open() ? std::optional(look_at(named.directory)) : std::nullopt;
        if (above && *above) thing.vacant = {(*above)->id, named.name};
    }
}

// A log that rotation has removed leaves its number to a file of somebody else.
bool Forbidden::was_at_start(const Thing& thing, const Id& id) {
    if (thing.at_start != id) return false;
    return !thing.is_inside || thing.at_start->made_ns == 0 || thing.at_start->made_ns == id.made_ns;
}

std::optional<std::size_t> Forbidden::rule_against(const Id& id) const {
    const auto is_it = [&](const Thing& thing) {
        return was_at_start(thing, id) || thing.today == id ||
               (thing.earlier != nullptr && was_once(*thing.earlier, id));
    };
    const auto found = std::ranges::find_if(things_, is_it);
    return found == things_.end() ? std::nullopt : std::optional(found->rule);
}

std::optional<std::size_t> Forbidden::rule_against(const Vacant& place) const {
    const auto found = std::ranges::find(things_, std::optional(place), &Thing::vacant);
    return found == things_.end() ? std::nullopt : std::optional(found->rule);
}

bool Forbidden::is_by_rule() const {
    return std::ranges::any_of(things_, [](const Thing& thing) { return thing.rule != policy::kNoRule; });
}

Result<Table> Table::build(const policy::Policy& policy, const std::vector<std::string>& own) {
    Table table(policy);
    TRY(table.enter_process());
    const std::vector<DeniedPath> denied = denied_paths(policy);
    const auto path_at = [&](std::size_t at) -> const std::string& {
        return at < own.size() ? own[at] : *denied[at - own.size()].path;
    };
    const auto answers =
        TRY(survey(own.size() + denied.size(), [&](std::size_t at) { return look_at_start(path_at(at)); }));
    for (const policy::Rule& rule : policy.rules) table.denied_.emplace_back(rule.files.size());
    for (std::size_t at = 0; at < answers.size(); ++at) {
        const AtStart seen = seen_in(answers[at]);
        const std::optional<Id> id = seen.is_there ? std::optional(seen.id) : std::nullopt;
        if (at < own.size()) {
            table.own_.push_back({.path = own[at],
                                  .at_start = id,
                                  .is_inside = !seen.is_behind_link && is_below_another(own, own[at])});
            continue;
        }
        const policy::Grant& rule = denied[at - own.size()].rule;
        table.denied_[rule.rule][rule.file] = {.at_start = id, .is_behind_link = seen.is_behind_link};
        if (!seen.is_known) table.unseen_.push_back(rule);
        if (answers[at] && answers[at]->fd.is_open()) TRY(table.hold(answers[at]->fd));
    }
    return table;
}

// Descriptors above those that a confined process may open, so that they use up none of them.
Status Table::hold(FdRef found) {
    held_.emplace_back(::fcntl(found.get(), F_DUPFD_CLOEXEC, kHeldFrom));
    if (!held_.back().is_open()) return system_error("what is denied cannot be held open");
    return {};
}

Status Table::remember(FdRef state) {
    Memory now;
    const Memory before = TRY(read_memory(state));
    for (const auto& [rule, path] : denied_paths(*policy_)) {
        Denied& denied = denied_[rule.rule][rule.file];
        if (const auto at = before.find(*path); at != before.end()) denied.earlier = at->second;
        Earlier all = denied.earlier;
        if (denied.at_start && denied.at_start->made_ns != 0) add_to(all, *denied.at_start);
        if (!all.empty()) now[*path] = std::move(all);
    }
    if (now == before) return {};
    if (const Status kept = write_memory(state, now); !kept) not_kept_ = kept.error().sys_errno;
    return {};
}

Status Table::enter_process() {
    held_.clear();
    proc_self_fd_ = UniqueFd(::open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!proc_self_fd_.is_open()) return system_error("/proc/self/fd");
    return {};
}

bool Table::is_own(const policy::GuestPath& path) const {
    return std::ranges::any_of(own_, [&](const Own& one) { return path.is_within(one.path); });
}

Forbidden Table::forbidden(policy::Access wanted, Moment now) const {
    std::vector<Forbidden::Thing> things;
    for (const Own& one : own_)
        things.push_back({.path = &one.path,
                          .links = Links::kFollowed,
                          .at_start = one.at_start,
                          .is_inside = one.is_inside});
    for (const policy::Grant& denial : policy::denials(*policy_, wanted, now)) {
        const auto& [at_start, is_behind_link, earlier] = denied_[denial.rule][denial.file];
        things.push_back({.path = &policy_->rules[denial.rule].files[denial.file].under,
                          .links = is_behind_link ? Links::kFollowed : Links::kRefused,
                          .at_start = at_start,
                          .rule = denial.rule,
                          .earlier = &earlier});
    }
    return Forbidden(std::move(things), {policy_, wanted, now, proc_self_fd_});
}

}  // namespace sallyport::files
