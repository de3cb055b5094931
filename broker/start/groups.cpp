// Control groups for the programs that a host starts.
// Runs in:  starter
// Input:    /proc/self/cgroup
#include "broker/start/groups.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>

namespace sallyport::starter {

namespace {

constexpr std::array kMounts{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
// What a service manager marks a group with that it leaves to us. The second is read with CAP_SYS_ADMIN only, which SELinux refuses.
constexpr std::array kMarks{"user.delegate", "trusted.delegate"};
constexpr std::string_view kBounds = "+memory +pids";

// Our group from the mount on: of all hierarchies the one that has no number.
std::string own_path() {
    const UniqueFd file(::open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC));
    std::string text(16384, '\0');
    const ssize_t got = file.is_open() ? ::read(file.get(), text.data(), text.size()) : 0;
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    std::size_t at = text.starts_with("0::/") ? 0 : text.find("\n0::/");
    if (at == text.npos) return {};
    at = text.find('/', at);
    return text.substr(at, text.find('\n', at) - at);
}

bool is_ours(FdRef group) {
    struct statfs system{};
    struct stat info{};
    if (::fstatfs(group.get(), &system) != 0 || system.f_type != CGROUP2_SUPER_MAGIC) return false;
    if (::fstat(group.get(), &info) != 0 || info.st_uid != ::geteuid()) return false;
    for (const char* mark : kMarks) {
        char value = 0;
        if (::fgetxattr(group.get(), mark, &value, 1) == 1 && value == '1') return true;
    }
    return false;
}

UniqueFd open_own() {
    const std::string path = own_path();
    if (path.empty()) return {};
    for (const char* mount : kMounts) {
        UniqueFd group(::open((mount + path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (group.is_open() && is_ours(group)) return group;
    }
    return {};
}

bool write_to(FdRef group, const std::string& file, std::string_view text) {
    const UniqueFd open(::openat(group.get(), file.c_str(), O_WRONLY | O_CLOEXEC));
    return open.is_open() &&
           ::write(open.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// What cannot be removed yet, since it is still dying, is removed by the next start.
void remove_leftovers(FdRef programs) {
    DIR* const list = ::fdopendir(::openat(programs.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (list == nullptr) return;
    while (const dirent* entry = ::readdir(list)) {
        const std::string name = entry->d_name;
        if (entry->d_type != DT_DIR || name.starts_with('.')) continue;
        write_to(programs, name + "/cgroup.kill", "1");
        ::unlinkat(programs.get(), name.c_str(), AT_REMOVEDIR);
    }
    ::closedir(list);
}

}  // namespace

ProgramGroups make_program_groups() {
    ProgramGroups groups;
    const UniqueFd own = open_own();
    if (!own.is_open()) return groups;
    // The kernel gives a group's controllers to those below it only if no process is in the group itself.
    ::mkdirat(own.get(), "agent", 0755);
    if (!write_to(own, "agent/cgroup.procs", "0")) return groups;
    groups.has_bounds = write_to(own, "cgroup.subtree_control", kBounds);
    ::mkdirat(own.get(), "programs", 0755);
    groups.directory = UniqueFd(::openat(own.get(), "programs", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!groups.directory.is_open()) return groups;
    // Whatever our umask is: programs look for their bounds.
    ::fchmod(groups.directory.get(), 0755);
    remove_leftovers(groups.directory);
    groups.has_bounds = groups.has_bounds && write_to(groups.directory, "cgroup.subtree_control", kBounds);
    return groups;
}

}  // namespace sallyport::starter
