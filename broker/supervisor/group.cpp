// A program's own control group.
// Runs in:  launcher; the supervisor and the program's process until they are confined
// Relies on: the starter, which passes the directory of groups that belongs to the agent alone
#include "broker/supervisor/group.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace sallyport::supervisor {

namespace {

int write_to(FdRef group, const char* name, std::string_view text) {
    const UniqueFd file(::openat(group.get(), name, O_WRONLY | O_CLOEXEC));
    if (!file.is_open()) return errno;
    return ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : errno;
}

}  // namespace

Result<Group> make_group(FdRef groups, std::uint64_t number) {
    Group group{.name = std::to_string(number), .directory = {}};
    if (::mkdirat(groups.get(), group.name.c_str(), 0755) != 0) return system_error("mkdirat");
    group.directory =
        UniqueFd(::openat(groups.get(), group.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    // Despite our umask: the program may read its bounds.
    if (!group.directory.is_open() || ::fchmod(group.directory.get(), 0755) != 0)
        return system_error("openat");
    return group;
}

int bind_group(FdRef group, const ipc::ExecConfine& terms) {
    if (terms.tasks() != 0)
        if (const int error = write_to(group, "pids.max", std::to_string(terms.tasks())); error != 0)
            return error;
    if (terms.memory() == 0) return 0;
    if (const int error = write_to(group, "memory.max", std::to_string(terms.memory())); error != 0)
        return error;
    // This file does not exist where swap is not counted.
    const int error = write_to(group, "memory.swap.max", "0");
    return error != 0 && error != ENOENT ? error : write_to(group, "memory.oom.group", "1");
}

int enter_group(FdRef group) {
    return write_to(group, "cgroup.procs", "0");
}

UniqueFd open_killer(FdRef group) {
    return UniqueFd(::openat(group.get(), "cgroup.kill", O_WRONLY | O_CLOEXEC));
}

bool remove_group(FdRef groups, const std::string& name) {
    const UniqueFd group(::openat(groups.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!group.is_open()) return true;
    write_to(group, "cgroup.kill", "1");
    return ::unlinkat(groups.get(), name.c_str(), AT_REMOVEDIR) == 0;
}

}  // namespace sallyport::supervisor
