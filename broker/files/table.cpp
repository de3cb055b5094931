// The rules about files, and the things that no rule opens.
// Runs in:  broker; built before lockdown()
#include "broker/files/table.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace sallyport::broker::files {

namespace {

// Directories of the system: what is mounted on one of them is mounted before any service starts. On others, such as /mnt, /data
// and /backup, something may be mounted at any time.
constexpr std::array<std::string_view, 18> kOfTheSystem{"bin",   "boot",  "dev", "etc",  "home", "lib",
                                                        "lib64", "media", "opt", "proc", "root", "run",
                                                        "sbin",  "srv",   "sys", "tmp",  "usr",  "var"};

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

std::string granted_directory(const std::string& under) {
    const std::size_t end = under.find('/', 1);
    if (end == under.npos) return "/";
    const std::string_view top = std::string_view(under).substr(1, end - 1);
    const bool stays = std::ranges::find(kOfTheSystem, top) != kOfTheSystem.end();
    const std::string directory = under.substr(0, end);
    return stays && look_at_path(directory) ? directory : "/";
}

// Whether we can go through each directory above `path` by our user number alone.
bool can_be_reached(const std::string& path) {
    for (std::size_t end = path.find('/', 1); end != path.npos; end = path.find('/', end + 1)) {
        const auto facts = look_at_path(path.substr(0, end));
        if (!facts) return true;  // not there, so nobody knows yet
        const unsigned needed = facts->owner == ::geteuid() ? S_IXUSR : S_IXOTH;
        if ((facts->mode & needed) == 0) return false;
    }
    return true;
}

Checked<void> refuse_links(const policy::Rule& rule, const policy::FileRule& file) {
    const auto found = find_path(file.under);
    if (found || found.error().sys_errno != ELOOP) return {};
    return complaint(Errc::kInvalid,
                     "a symbolic link is on the way to this directory; write where it leads to",
                     rule.where + ": rule '" + rule.id + "': " + file.under);
}

}  // namespace

Checked<Table> Table::build(const policy::Policy& policy, const std::vector<std::string>& own) {
    Table table(policy);
    table.proc_self_fd_ = UniqueFd(::open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!table.proc_self_fd_.is_open()) return system_error("/proc/self/fd");
    for (const std::string& path : own) table.own_.push_back({.path = path, .at_start = id_of(path)});
    for (const policy::Rule& rule : policy.rules) {
        std::vector<Denied>& of_rule = table.denied_.emplace_back();
        for (const policy::FileRule& file : rule.files) {
            const bool denies = rule.effect == policy::Effect::kDeny;
            if (!denies) TRY(refuse_links(rule, file));
            of_rule.push_back(denies ? Denied{id_of(file.under), leads_through_link(file.under)} : Denied{});
        }
    }
    return table;
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
        const std::string& under = policy_->rules[denial.rule].files[denial.file].under;
        const auto& [at_start, is_behind_link] = denied_[denial.rule][denial.file];
        add(at_start, is_behind_link ? id_of(under) : id_without_links(under), denial.rule);
    }
    return found;
}

Checked<void> Table::add_needs(sandbox::BrokerNeeds& needs, std::vector<UniqueFd>& kept) const {
    for (const policy::Rule& rule : policy_->rules) {
        for (const policy::FileRule& file : rule.files) {
            needs.others_directories |= !can_be_reached(file.under);
            if (rule.effect == policy::Effect::kDeny) continue;
            needs.reads_files |= file.access.read;
            needs.writes_files |= file.access.write;
            needs.creates_files |= file.access.create;
            needs.others_files |= file.owners != std::vector{static_cast<std::uint32_t>(::geteuid())};
            std::string directory = granted_directory(file.under);
            kept.push_back(TRY(about(directory, find_path(directory, O_DIRECTORY))));
            needs.trees.push_back({.path = std::move(directory),
                                   .fd = kept.back().get(),
                                   .read = file.access.read,
                                   .write = file.access.write,
                                   .create = file.access.create,
                                   .list = file.kinds.directory});
        }
    }
    return {};
}

}  // namespace sallyport::broker::files
