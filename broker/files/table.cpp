// The rules about files, and the things that no rule opens.
// Runs in:  files; built before lockdown()
#include "broker/files/table.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace sallyport::files {

namespace {

std::optional<Id> id_of(const std::string& path) {
    const auto facts = look_at_path(path);
    return facts ? std::optional(facts->id) : std::nullopt;
}

bool leads_through_link(const std::string& path) {
    const auto found = find_path(path);
    return !found && found.error().sys_errno == ELOOP;
}

// THREAT: a local user replaces a denied directory of his by a link to the root, so that everything would be denied. What lies
// behind such a link has a name of its own.
std::optional<Id> id_without_links(const std::string& path) {
    const auto found = find_path(path);
    const auto facts = found ? look_at(*found) : std::unexpected(found.error());
    return facts ? std::optional(facts->id) : std::nullopt;
}

}  // namespace

Result<Table> Table::build(const policy::Policy& policy, const std::vector<std::string>& own) {
    Table table(policy);
    TRY(table.enter_process());
    for (const std::string& path : own) table.own_.push_back({.path = path, .at_start = id_of(path)});
    for (const policy::Rule& rule : policy.rules) {
        std::vector<Denied>& of_rule = table.denied_.emplace_back();
        for (const policy::FileRule& file : rule.files) {
            const bool denies = rule.effect == policy::Effect::kDeny;
            of_rule.push_back(denies ? Denied{id_of(file.under), leads_through_link(file.under)} : Denied{});
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

std::vector<Forbidden> Table::forbidden(policy::Access wanted, policy::WallTime now) const {
    std::vector<Forbidden> found;
    const auto add = [&](const std::optional<Id>& at_start, const std::optional<Id>& today,
                         std::size_t rule) {
        if (at_start) found.push_back({*at_start, rule});
        if (today && today != at_start) found.push_back({*today, rule});
    };
    for (const Own& one : own_) add(one.at_start, id_of(one.path), policy::kNoRule);
    for (const policy::Grant& denial : policy::denials(*policy_, wanted, now)) {
        const std::string& under = rule_of(denial).under;
        const auto& [at_start, is_behind_link] = denied_[denial.rule][denial.file];
        add(at_start, is_behind_link ? id_of(under) : id_without_links(under), denial.rule);
    }
    return found;
}

}  // namespace sallyport::files
