// Runs in:  files, in a clerk
#include "broker/files/open.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>

#include "broker/files/judge.hpp"
#include "broker/files/walk.hpp"

namespace sallyport::files {

namespace {

constexpr int kMostTries = 4;  // attempts, if a file appears or disappears while we look

int use_flags(const OpenMode& mode) {
    const auto& [read, write, create] = mode.wanted;
    return (read && write ? O_RDWR : write ? O_WRONLY : O_RDONLY) | (mode.append ? O_APPEND : 0);
}

// THREAT: the disk under a file system contains the blocks of denied files. So if a deny rule about files exists, a block device
// is opened only by a rule about devices.
Outcome<void> judge_device(const Attempt& attempt, const Facts& facts, const policy::FileRule& rule) {
    if (!S_ISBLK(facts.mode) || rule.under == "/dev" || rule.under.starts_with("/dev/")) return {};
    const auto& [table, order, grant, of_attempt, forbidden] = attempt;
    if (policy::denials(table.policy(), order.mode.wanted, order.now).empty()) return {};
    return refused("a block device, beside a deny rule about files");
}

// Only a rule about a procfs, or about everything, opens the files of a procfs.
Outcome<void> judge_procfs(const Attempt& attempt, FdRef found, FdRef parent, const policy::FileRule& rule) {
    if (!TRY(is_on_procfs(found))) return {};
    TRY(refuse_processes(attempt.table.proc_self_fd(), found, parent));
    if (rule.under == "/") return {};
    const UniqueFd under = TRY(find_path(rule.under));
    if (!TRY(is_on_procfs(under))) return refused("a procfs below a directory of another file system");
    return {};
}

// Where a file lies, and the grant by which it may be opened there.
struct Judged {
    policy::Grant grant;
    std::string place;  // empty: at the host's path
};

// The grant by which a file at `path` may be opened for `wanted`. At the host's own path it is the attempt's. Elsewhere the path
// is judged as if the host had named it, and a rule that covers it must accept the file.
Outcome<Judged> grant_for(const Attempt& attempt, const std::string& path, policy::Access wanted,
                          const Facts* facts) {
    const auto& [table, order, own_grant, rule, forbidden] = attempt;
    const auto real = policy::GuestPath::parse(path, "/");
    if (!real || table.is_own(*real)) return refused("it lies where nothing is opened");
    const auto decision = policy::decide_file_open(table.policy(), *real, wanted, order.now);
    if (!decision.is_allowed()) return refused("a deny rule, or no allow rule, is about where it lies");
    if (real->text() == order.path.text()) return Judged{own_grant, {}};
    for (const policy::Grant& grant : decision.grants) {
        if (facts != nullptr && !is_acceptable(*facts, table.rule_of(grant))) continue;
        // Before anything is made or cut off there.
        if (grant.rule != own_grant.rule && std::ranges::find(order.spent, grant.rule) != order.spent.end())
            return refused("the budget of the rule for the place where a link leads is spent", grant.rule);
        return Judged{grant, std::string(real->text())};
    }
    return refused("the rule for the place where a link leads does not accept it");
}

Outcome<Opened> open_existing(const Attempt& attempt, const Place& place) {
    const OpenMode& mode = attempt.order.mode;
    const FdRef proc_self_fd = attempt.table.proc_self_fd();
    const Facts facts = TRY(look_at(place.found));
    if (facts.links > 1) attempt.forbidden.meet_second_name();
    TRY(refuse_forbidden(facts.id, attempt.forbidden));
    if (!is_acceptable(facts, attempt.rule))
        return refused("the file is not of a kind, owner or size that the rule accepts");
    // After the names were counted: whether the one by which it was found still exists.
    TRY(wait_for_changes(place.parent));
    const std::string path = TRY(path_of(proc_self_fd, place.found));
    if (is_deleted(path, place.name)) return refused("the name was taken away meanwhile");
    Judged judged = TRY(grant_for(attempt, path, mode.wanted, &facts));
    const policy::FileRule& rule = attempt.table.rule_of(judged.grant);
    TRY(judge_procfs(attempt, place.found, place.parent, rule));
    TRY(judge_device(attempt, facts, rule));
    if (attempt.order.names_directory && !S_ISDIR(facts.mode))
        return std::unexpected(Unopened("not a directory", ENOTDIR));
    UniqueFd fd = TRY(reopen(proc_self_fd, place.found, use_flags(mode) | (mode.truncate ? O_TRUNC : 0)));
    return Opened{.fd = std::move(fd),
                  .grant = judged.grant,
                  .place = std::move(judged.place),
                  .is_regular = S_ISREG(facts.mode)};
}

Status give_mode(FdRef made, std::uint32_t bits) {
    if (::fchown(made.get(), static_cast<uid_t>(-1), ::getegid()) != 0) return system_error("fchown");
    if (::fremovexattr(made.get(), "system.posix_acl_access") != 0 && errno != ENODATA && errno != EOPNOTSUPP)
        return system_error("fremovexattr");
    if (::fchmod(made.get(), bits) != 0) return system_error("fchmod");
    return {};
}

// Removes a file that could not be given the rule's mode, unless somebody has replaced it.
void take_back(const Place& place, FdRef made) {
    const auto ours = look_at(made);
    const auto found = open_at(place.parent, place.name, O_PATH);
    const auto theirs = found ? look_at(*found) : std::unexpected(found.error());
    if (ours && theirs && ours->id == theirs->id) ::unlinkat(place.parent.get(), place.name.c_str(), 0);
}

// The file gets exactly the rule's mode, for our user and group: a default ACL of the directory would add users, its set-group-id
// bit another group. It is created without any permission, so that nobody can open it in between.
Outcome<UniqueFd> make(const Place& place, const OpenMode& mode, std::uint32_t bits) {
    const int flags = use_flags(mode) | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    UniqueFd made = TRY(open_at(place.parent, place.name, flags));
    if (auto owned = give_mode(made, bits); !owned) {
        take_back(place, made);
        return std::unexpected(owned.error());
    }
    return made;
}

Outcome<Opened> create(const Attempt& attempt, const Place& place) {
    const auto& [table, order, grant, rule, forbidden] = attempt;
    const UniqueFd above = TRY(open_at(place.parent, "..", O_PATH | O_DIRECTORY));
    TRY(judge_procfs(attempt, place.parent, above, rule));
    if (!order.mode.may_create) return std::unexpected(Unopened("nothing has that name", ENOENT));
    if (!rule.access.create) return refused("the rule does not let files be created");
    // A deny rule may be only about new files.
    const policy::Access wanted = creating(order.mode);
    Forbidden denied_to_create = table.forbidden(wanted, order.now);
    TRY(judge_way(place.parent, place.name, denied_to_create));
    std::string path = TRY(path_of(table.proc_self_fd(), place.parent));
    if (!path.ends_with('/')) path += '/';
    Judged judged = TRY(grant_for(attempt, path + place.name, wanted, nullptr));
    if (order.names_directory) return std::unexpected(Unopened("a new file is no directory", EISDIR));
    // Like fopen() with O_EXCL, as in qemu-ga.
    if (place.is_dangling) return std::unexpected(Unopened("a link to nothing", ENOENT));
    UniqueFd fd = TRY(make(place, order.mode, table.rule_of(judged.grant).create_mode));
    return Opened{
        .fd = std::move(fd), .grant = judged.grant, .place = std::move(judged.place), .is_regular = true};
}

Outcome<Opened> try_open(const Attempt& attempt) {
    const Place place = TRY(find(attempt));
    TRY(judge_way(place.parent, place.name, attempt.forbidden));
    if (attempt.order.names_directory && attempt.order.mode.may_create && place.found.is_open())
        return std::unexpected(Unopened("a file that could be made is no directory", EISDIR));
    return place.found.is_open() ? open_existing(attempt, place) : create(attempt, place);
}

Outcome<Opened> open_under(const Attempt& attempt) {
    Outcome<Opened> opened = try_open(attempt);
    for (int tries = 1; !opened && opened.error().sys_errno == EEXIST && tries < kMostTries; ++tries)
        opened = try_open(attempt);
    return opened;
}

}  // namespace

Outcome<Opened> open(const Table& table, const Order& order) {
    SALLYPORT_CHECK(!order.grants.empty());
    if (table.is_own(order.path)) return refused("a file of the agent's own");
    Forbidden forbidden = table.forbidden(order.mode.wanted, order.now);
    std::optional<Unopened> first;
    for (const policy::Grant& grant : order.grants) {
        auto opened = open_under({table, order, grant, table.rule_of(grant), forbidden});
        if (opened) return opened;
        if (!first) first = opened.error();
    }
    return std::unexpected(*first);
}

}  // namespace sallyport::files
