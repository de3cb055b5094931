// Runs in:  files, in a clerk
#include "broker/files/walk.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "broker/files/judge.hpp"

namespace sallyport::files {

namespace {

constexpr int kMaxLinks = 40;  // like the kernel
constexpr int kMaxUps = 64;    // for all links of a path together

// What may be done with a name before anything is known about it.
enum class May : std::uint8_t { kNothing, kPassThrough, kLookAt, kFollow };

// A walk in user space, one name at a time.
struct Walk {
    const Attempt& attempt;
    UniqueFd at;                         // the directory reached so far
    std::string text = {};               // its path; empty for the root
    std::vector<std::string> rest = {};  // names still to walk, in reverse
    int links = 0;                       // number of links followed
    bool ends_in_link = false;           // the last name was a link
    int ups = 0;                         // number of ".." steps from links
    std::vector<std::string> parts =
        {};  // where entered parts with inode numbers of their own begin, the innermost last
};

void add_names(Walk& walk, std::string_view path) {
    std::vector<std::string> names;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string_view name = path.substr(at, end - at);
        if (!name.empty() && name != ".") names.emplace_back(name);
        at = end + 1;
    }
    walk.rest.insert(walk.rest.end(), names.rbegin(), names.rend());
}

Outcome<Place> place_of_directory(UniqueFd directory) {
    UniqueFd parent = TRY(open_at(directory, "..", O_PATH | O_DIRECTORY));
    return Place{.parent = std::move(parent), .name = ".", .found = std::move(directory)};
}

May may(const Walk& walk, const policy::GuestPath& here) {
    const auto& [table, order, grant, rule, forbidden] = walk.attempt;
    if (table.is_own(here)) return May::kNothing;
    // No link yet, so this is a directory of the host's own path.
    if (walk.links == 0 && !here.is_within(rule.under)) return May::kPassThrough;
    const auto decision = policy::decide_file_open(table.policy(), here, order.mode.wanted, order.now);
    if (decision.why == policy::Why::kDenied) return May::kNothing;
    if (here.is_within(rule.under)) return rule.follow_symlinks ? May::kFollow : May::kLookAt;
    if (decision.is_allowed()) {
        const auto follows = [&](const policy::Grant& one) { return table.rule_of(one).follow_symlinks; };
        return std::ranges::any_of(decision.grants, follows) ? May::kFollow : May::kLookAt;
    }
    const bool leads_on = policy::leads_to_allowed(table.policy(), here, order.mode.wanted, order.now);
    return leads_on ? May::kPassThrough : May::kNothing;
}

// O_DIRECTORY on the way also triggers an automounter, as a normal walk does.
Result<UniqueFd> look_up(const Walk& walk, const std::string& name) {
    const int flags = O_PATH | O_NOFOLLOW;
    if (!walk.rest.empty()) {
        auto directory = open_at(walk.at, name, flags | O_DIRECTORY);
        if (directory || directory.error().sys_errno != ENOTDIR) return directory;
    }
    return open_at(walk.at, name, flags);
}

// THREAT: a local user makes a link with a thousand ".." in a deep directory. Each step checks everything above it.
Outcome<void> go_up(Walk& walk) {
    if (++walk.ups > kMaxUps) return std::unexpected(Unopened("too many steps up", ELOOP));
    walk.at = TRY(open_at(walk.at, "..", O_PATH | O_DIRECTORY));
    walk.text.resize(walk.text.empty() ? 0 : walk.text.rfind('/'));
    // It may have been moved since we came through its parent.
    return judge_way(walk.at, "", walk.attempt.forbidden);
}

Outcome<void> follow(Walk& walk, FdRef link, const Facts& facts) {
    if (TRY(is_on_procfs(link))) return refused("a link of a procfs");
    // Like the kernel's protected_symlinks: no following another user's link in /tmp.
    const Facts directory = TRY(look_at(walk.at));
    constexpr unsigned kForAll = S_ISVTX | S_IWOTH;
    if ((directory.mode & kForAll) == kForAll && facts.owner != directory.owner && facts.owner != ::geteuid())
        return std::unexpected(Unopened("a link of another user in a directory for all", EACCES));
    if (++walk.links > kMaxLinks) return std::unexpected(Unopened("too many links", ELOOP));
    const std::string target = TRY(text_of_link(link));
    if (target.starts_with('/')) {
        walk.at = TRY(find_path("/"));
        walk.text.clear();
    }
    add_names(walk, target);
    return {};
}

// Before a name in such a part is looked at, so that nothing of a snapshot's contents is told.
Outcome<void> judge_part(Walk& walk, const policy::GuestPath& here) {
    while (!walk.parts.empty() && !here.is_within(walk.parts.back())) walk.parts.pop_back();
    if (walk.parts.empty()) return {};
    const Inside inside{
        .part = walk.parts.back(), .path = std::string(here.text()), .is_passed = !walk.rest.empty()};
    return refuse_part(inside, walk.attempt.forbidden);
}

// Continues in the directory that was found.
Outcome<void> enter(Walk& walk, UniqueFd directory, const Facts& facts) {
    TRY(refuse_processes(walk.attempt.table.proc_self_fd(), directory, walk.at));
    if (begins_part(facts, TRY(look_at(walk.at)))) walk.parts.push_back(walk.text);
    walk.at = std::move(directory);
    return {};
}

// Takes the next name. Returns a place if it was the last one.
Outcome<std::optional<Place>> step(Walk& walk) {
    const std::string name = std::move(walk.rest.back());
    walk.rest.pop_back();
    if (name == "..") {
        TRY(go_up(walk));
        return std::nullopt;
    }
    std::string text = walk.text + "/" + name;
    const auto here = policy::GuestPath::parse(text, "/");
    if (!here) return refused("a link leads to no usable path");
    const May allowed = may(walk, *here);
    if (allowed == May::kNothing) return refused("a link leads out of what is allowed");
    TRY(refuse_process_name(walk.at, name));
    TRY(judge_part(walk, *here));
    auto found = look_up(walk, name);
    if (!found && found.error().sys_errno == ENOENT && walk.rest.empty())
        return Place{
            .parent = std::move(walk.at), .name = name, .found = {}, .is_dangling = walk.ends_in_link};
    if (!found) return std::unexpected(found.error());
    const Facts facts = TRY(look_at(*found));
    TRY(refuse_forbidden(facts.id, walk.attempt.forbidden));
    if (S_ISLNK(facts.mode)) {
        if (allowed != May::kFollow) return refused("a symbolic link that the rule does not follow");
        walk.ends_in_link |= walk.rest.empty();
        TRY(follow(walk, *found, facts));
        return std::nullopt;
    }
    if (walk.rest.empty())
        return Place{.parent = std::move(walk.at), .name = name, .found = *std::move(found)};
    if (!S_ISDIR(facts.mode)) return std::unexpected(Unopened("not a directory", ENOTDIR));
    walk.text = std::move(text);
    TRY(enter(walk, *std::move(found), facts));
    return std::nullopt;
}

Outcome<Place> walk_by_hand(const Attempt& attempt) {
    Walk walk{.attempt = attempt, .at = TRY(find_path("/"))};
    add_names(walk, attempt.order.path.text());
    while (!walk.rest.empty())
        if (auto place = TRY(step(walk))) return *std::move(place);
    return place_of_directory(std::move(walk.at));
}

}  // namespace

Outcome<Place> find(const Attempt& attempt) {
    const std::string_view path = attempt.order.path.text();
    const std::size_t slash = path.rfind('/');
    if (path == "/") return place_of_directory(TRY(find_path("/")));
    auto parent = find_path(std::string(path.substr(0, std::max<std::size_t>(slash, 1))), O_DIRECTORY);
    // The error may come from behind something denied, and then it must not be told.
    if (!parent) return walk_by_hand(attempt);
    const std::string name(path.substr(slash + 1));
    TRY(refuse_process_name(*parent, name));
    auto found = open_at(*parent, name, O_PATH);
    if (!found && found.error().sys_errno != ENOENT) return walk_by_hand(attempt);
    return Place{.parent = *std::move(parent), .name = name, .found = found ? *std::move(found) : UniqueFd()};
}

}  // namespace sallyport::files
