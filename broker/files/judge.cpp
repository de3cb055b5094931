// Runs in:  files, in a clerk
#include "broker/files/judge.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <span>

#include "ipc/limits.hpp"

namespace sallyport::files {

namespace {

constexpr std::uint64_t kProcfsRoot = 1;  // its inode number, in every procfs
constexpr std::string_view kDeleted = " (deleted)";

bool is_name_of_process(std::string_view name) {
    return !name.empty() && name.front() >= '0' && name.front() <= '9';
}

Result<UniqueFd> above(FdRef directory) {
    return open_at(directory, "..", O_PATH | O_DIRECTORY);
}

// A directory and all directories above it.
struct Way {
    std::vector<Id> ids;
    std::string part;  // where the lowest part with inode numbers of its own begins; empty: there is none
};

Outcome<Way> way_up(FdRef directory, FdRef proc_self_fd) {
    const auto root = look_at_path("/");
    Way way;
    UniqueFd held;
    Facts facts = TRY(look_at(directory));
    // A path has no more components than bytes.
    for (std::size_t depth = 0; root && depth < kMaxPath; ++depth) {
        way.ids.push_back(facts.id);
        if (facts.id == root->id && facts.mount == root->mount) return way;
        UniqueFd up = TRY(above(directory));
        const Facts facts_above = TRY(look_at(up));
        if (way.part.empty() && begins_part(facts, facts_above))
            way.part = TRY(path_of(proc_self_fd, directory));
        held = std::move(up);
        directory = held;
        facts = facts_above;
    }
    return refused("it does not lie below the root directory");
}

std::optional<policy::Kind> kind_of(std::uint32_t mode) {
    switch (mode & S_IFMT) {
        case S_IFREG:
            return policy::Kind::kRegular;
        case S_IFDIR:
            return policy::Kind::kDirectory;
        case S_IFIFO:
            return policy::Kind::kFifo;
        case S_IFSOCK:
            return policy::Kind::kSocket;
        case S_IFCHR:
            return policy::Kind::kCharacterDevice;
        case S_IFBLK:
            return policy::Kind::kBlockDevice;
        default:
            return std::nullopt;
    }
}

}  // namespace

Outcome<void> refuse_forbidden(const Id& id, Forbidden& forbidden) {
    forbidden.meet(std::span(&id.device, 1));
    const auto rule = forbidden.rule_against(id);
    if (!rule) return {};
    return refused("it is, or lies in, something that is denied", *rule);
}

bool begins_part(const Facts& directory, const Facts& above) {
    return directory.id.device != above.id.device && directory.mount == above.mount;
}

Outcome<void> refuse_part(const Inside& inside, const Forbidden& forbidden) {
    if (inside.part.empty() || !forbidden.is_by_rule()) return {};
    const auto& [policy, wanted, now, proc_self_fd] = forbidden.scope();
    const auto path = policy::GuestPath::parse(inside.path, "/");
    if (path && inside.is_passed && policy::leads_to_allowed(*policy, *path, wanted, now)) return {};
    const auto decision = path ? policy::decide_file_open(*policy, *path, wanted, now) : policy::Decision();
    const bool is_named = std::ranges::any_of(decision.grants, [&](const policy::Grant& grant) {
        const auto under = policy::GuestPath::parse(policy->rules[grant.rule].files[grant.file].under, "/");
        return under && under->is_within(inside.part);
    });
    if (is_named) return {};
    return refused("a subvolume or snapshot that no rule names, beside a deny rule about files");
}

// Forbidden things are looked up after the way, when the file systems on it are known.
Outcome<void> judge_way(FdRef directory, std::string_view name, Forbidden& forbidden) {
    const FdRef proc_self_fd = forbidden.scope().proc_self_fd;
    const Way way = TRY(way_up(directory, proc_self_fd));
    std::vector<std::uint64_t> devices;
    for (const Id& id : way.ids) devices.push_back(id.device);
    forbidden.meet(devices);
    for (const Id& id : way.ids) TRY(refuse_forbidden(id, forbidden));
    if (const auto rule = forbidden.rule_against(Vacant{way.ids.front(), std::string(name)}))
        return refused("it would be what is denied", *rule);
    if (way.part.empty()) return {};
    const std::string path = TRY(path_of(proc_self_fd, directory)) + "/" + std::string(name);
    return refuse_part({.part = way.part, .path = path, .is_passed = name.empty()}, forbidden);
}

Outcome<void> refuse_processes(FdRef proc_self_fd, FdRef found, FdRef parent) {
    if (!TRY(is_on_procfs(found))) return {};
    std::vector<UniqueFd> held;
    Facts facts = TRY(look_at(found));
    FdRef at = found;
    FdRef below = found;
    for (FdRef up = parent;;) {
        const Facts facts_above = TRY(look_at(up));
        if (facts_above.mount != facts.mount || facts_above.id == facts.id) break;
        below = at;
        at = up;
        facts = facts_above;
        held.push_back(TRY(above(at)));
        up = held.back();
    }
    if (facts.id.inode != kProcfsRoot) return refused("a part of a procfs that is mounted by itself");
    if (at.get() == found.get()) return {};  // the root of the procfs
    const std::string path = TRY(path_of(proc_self_fd, below));
    if (is_name_of_process(std::string_view(path).substr(path.rfind('/') + 1)))
        return refused("a file of a process");
    return {};
}

Outcome<void> refuse_process_name(FdRef directory, std::string_view name) {
    if (!is_name_of_process(name) || !TRY(is_on_procfs(directory))) return {};
    const Facts facts = TRY(look_at(directory));
    return facts.id.inode == kProcfsRoot ? refused("a file of a process") : Outcome<void>();
}

bool is_acceptable(const Facts& facts, const policy::FileRule& rule) {
    const auto kind = kind_of(facts.mode);
    return kind && policy::accepts_file(rule, {.kind = *kind,
                                               .owner = facts.owner,
                                               .links = facts.links,
                                               .is_setid = (facts.mode & (S_ISUID | S_ISGID)) != 0,
                                               .size = facts.size});
}

bool is_deleted(std::string_view path, std::string_view name) {
    if (!path.ends_with(kDeleted)) return false;
    // A file's own name may end like this. If such a name were deleted, the suffix would be there twice.
    const bool is_called_so = name.ends_with(kDeleted) && path.ends_with(name) &&
                              path.substr(0, path.size() - name.size()).ends_with('/');
    return !is_called_so;
}

}  // namespace sallyport::files
