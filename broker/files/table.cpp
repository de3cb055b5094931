// The rules about files, and the things that no rule opens.
// Runs in:  files; built before lockdown()
#include "broker/files/table.hpp"

#include <fcntl.h>

#include <algorithm>
#include <utility>

namespace sallyport::files {

namespace {

// What a path named when the agent started.
struct Seen {
    std::optional<Id> id;
    bool is_behind_link = false;
};

Seen look_at_start(const std::string& path) {
    const MayAsk everybody = [](std::uint64_t) { return true; };
    Named named = look_up_name(path, Links::kRefused, everybody);
    const bool is_behind_link = named.met_link;
    if (is_behind_link) named = look_up_name(path, Links::kFollowed, everybody);
    const auto facts = named.found.is_open() ? std::optional(look_at(named.found)) : std::nullopt;
    return {.id = facts && *facts ? std::optional((*facts)->id) : std::nullopt,
            .is_behind_link = is_behind_link};
}

}  // namespace

Forbidden::Forbidden(std::vector<Thing> things) : things_(std::move(things)) {
    if (const auto root = look_at_path("/")) met_.insert(root->id.device);
}

// THREAT: a local user replaces a denied directory of his by a link to the root, so that everything would be denied. What lies
// behind such a link has a name of its own: no link is followed but where the admin had named the thing by one.
void Forbidden::meet(std::span<const std::uint64_t> devices) {
    bool is_new = !has_looked_;
    for (const std::uint64_t device : devices) is_new |= met_.insert(device).second;
    if (!is_new) return;
    has_looked_ = true;
    const MayAsk may_ask = [this](std::uint64_t device) { return met_.contains(device); };
    for (Thing& thing : things_) {
        if (thing.is_settled) continue;
        const Named named = look_up_name(*thing.path, thing.links, may_ask);
        thing.is_settled = named.is_known;
        const auto facts = named.found.is_open() ? std::optional(look_at(named.found)) : std::nullopt;
        if (facts && *facts) thing.today = (*facts)->id;
    }
}

std::optional<std::size_t> Forbidden::rule_against(const Id& id) const {
    const auto is_it = [&](const Thing& thing) { return thing.at_start == id || thing.today == id; };
    const auto found = std::ranges::find_if(things_, is_it);
    return found == things_.end() ? std::nullopt : std::optional(found->rule);
}

Result<Table> Table::build(const policy::Policy& policy, const std::vector<std::string>& own) {
    Table table(policy);
    TRY(table.enter_process());
    for (const std::string& path : own)
        table.own_.push_back({.path = path, .at_start = look_at_start(path).id});
    for (const policy::Rule& rule : policy.rules) {
        std::vector<Denied>& of_rule = table.denied_.emplace_back(rule.files.size());
        if (rule.effect != policy::Effect::kDeny) continue;
        for (std::size_t file = 0; file < rule.files.size(); ++file) {
            const auto [id, is_behind_link] = look_at_start(rule.files[file].under);
            of_rule[file] = {.at_start = id, .is_behind_link = is_behind_link};
        }
    }
    return table;
}

Status Table::enter_process() {
    proc_self_fd_ = UniqueFd(::open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!proc_self_fd_.is_open()) return system_error("/proc/self/fd");
    return {};
}

bool Table::is_own(const policy::GuestPath& path) const {
    return std::ranges::any_of(own_, [&](const Own& one) { return path.is_within(one.path); });
}

Forbidden Table::forbidden(policy::Access wanted, policy::WallTime now) const {
    std::vector<Forbidden::Thing> things;
    for (const Own& one : own_)
        things.push_back({.path = &one.path, .links = Links::kFollowed, .at_start = one.at_start});
    for (const policy::Grant& denial : policy::denials(*policy_, wanted, now)) {
        const auto& [at_start, is_behind_link] = denied_[denial.rule][denial.file];
        things.push_back({.path = &policy_->rules[denial.rule].files[denial.file].under,
                          .links = is_behind_link ? Links::kFollowed : Links::kRefused,
                          .at_start = at_start,
                          .rule = denial.rule});
    }
    return Forbidden(std::move(things));
}

}  // namespace sallyport::files
