// What the files hand must be able to do, which follows from the policy.
// Runs in:  broker, before lockdown(), which compares; files, before lockdown()
#include "broker/files/needs.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "broker/files/kernel.hpp"

namespace sallyport::files {

namespace {

// Directories of the system: what is mounted on one of them is mounted before any service starts. On others, such as /mnt, /data
// and /backup, something may be mounted at any time.
constexpr std::array<std::string_view, 18> kOfTheSystem{"bin",   "boot",  "dev", "etc",  "home", "lib",
                                                        "lib64", "media", "opt", "proc", "root", "run",
                                                        "sbin",  "srv",   "sys", "tmp",  "usr",  "var"};

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

Checked<void> refuse_link(const policy::Rule& rule, const policy::FileRule& file) {
    const auto found = find_path(file.under);
    if (found || found.error().sys_errno != ELOOP) return {};
    return complaint(Errc::kInvalid,
                     "a symbolic link is on the way to this directory; write where it leads to",
                     rule.where + ": rule '" + rule.id + "': " + file.under);
}

}  // namespace

Checked<sandbox::FilesNeeds> needs_of(const policy::Policy& policy, std::vector<UniqueFd>& kept) {
    sandbox::FilesNeeds needs;
    for (const policy::Rule& rule : policy.rules) {
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
    return needs;
}

Checked<void> refuse_links(const policy::Policy& policy) {
    for (const policy::Rule& rule : policy.rules)
        for (const policy::FileRule& file : rule.files)
            if (rule.effect != policy::Effect::kDeny) TRY(refuse_link(rule, file));
    return {};
}

}  // namespace sallyport::files
