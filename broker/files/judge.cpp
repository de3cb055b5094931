// Whether what was found may be opened: by what it is, and by where it lies.
// Runs in:  files, in a clerk
#include "broker/files/judge.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
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

// The directory and all above it.
Outcome<std::vector<Id>> way_up(FdRef directory) {
    const auto root = look_at_path("/");
    std::vector<Id> way;
    UniqueFd held;
    // No path is deeper than it is long.
    for (std::size_t depth = 0; root && depth < kMaxPath; ++depth) {
        const Facts facts = TRY(look_at(directory));
        way.push_back(facts.id);
        if (facts.id == root->id && facts.mount == root->mount) return way;
        held = TRY(above(directory));
        directory = held;
    }
    return refused("it does not lie below the root directory");
}

bool is_kind_accepted(std::uint32_t mode, const policy::Kinds& kinds) {
    switch (mode & S_IFMT) {
        case S_IFREG:
            return kinds.regular;
        case S_IFDIR:
            return kinds.directory;
        case S_IFIFO:
            return kinds.fifo;
        case S_IFSOCK:
            return kinds.socket;
        case S_IFCHR:
            return kinds.character_device;
        case S_IFBLK:
            return kinds.block_device;
        default:
            return false;
    }
}

}  // namespace

Outcome<void> refuse_forbidden(const Id& id, Forbidden& forbidden) {
    forbidden.meet(std::span(&id.device, 1));
    const auto rule = forbidden.rule_against(id);
    if (!rule) return {};
    return refused("it is, or lies in, something that is denied", *rule);
}

// What is forbidden is looked up when the file systems on the way are known, and so after the way.
Outcome<void> judge_way(FdRef directory, Forbidden& forbidden) {
    std::vector<std::uint64_t> devices;
    const std::vector<Id> way = TRY(way_up(directory));
    for (const Id& id : way) devices.push_back(id.device);
    forbidden.meet(devices);
    for (const Id& id : way) TRY(refuse_forbidden(id, forbidden));
    return {};
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
    if (is_name_of_process(std::string_view(path).substr(path.rfind('/') + 1))) return refused("a file of a process");
    return {};
}

Outcome<void> refuse_process_name(FdRef directory, std::string_view name) {
    if (!is_name_of_process(name) || !TRY(is_on_procfs(directory))) return {};
    const Facts facts = TRY(look_at(directory));
    return facts.id.inode == kProcfsRoot ? refused("a file of a process") : Outcome<void>();
}

bool is_acceptable(const Facts& facts, const policy::FileRule& rule) {
    const bool is_regular = S_ISREG(facts.mode);
    if (!is_kind_accepted(facts.mode, rule.kinds)) return false;
    if (!rule.owners.empty() && std::ranges::find(rule.owners, facts.owner) == rule.owners.end())
        return false;
    if (is_regular && facts.links > 1 && !rule.any_links) return false;
    if (is_regular && (facts.mode & (S_ISUID | S_ISGID)) != 0 && !rule.any_setid) return false;
    return !is_regular || !rule.max_size || facts.size <= *rule.max_size;
}

bool is_deleted(std::string_view path, std::string_view name) {
    if (!path.ends_with(kDeleted)) return false;
    // A file may be called so. If its name were gone, the words would stand there twice.
    const bool is_called_so = name.ends_with(kDeleted) && path.ends_with(name) &&
                              path.substr(0, path.size() - name.size()).ends_with('/');
    return !is_called_so;
}

}  // namespace sallyport::files
