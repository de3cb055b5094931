// Ids, capabilities and root directory of the nursery and of the workers that it forks.
// Runs in:  nursery, as pid 1 of its namespaces; one function before its execve(); set_capabilities() also in the guard's planner
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "sandbox/steps.hpp"

namespace sallyport::sandbox {

namespace {

// Any directory that a broker cannot have started without.
constexpr const char* kMountPoint = "/proc";
constexpr unsigned long kMountFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

// What lockdown_nursery() needs in its own user namespace. All are among the first 32.
constexpr std::array kNurseryStart{CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_ADMIN};

}  // namespace

Status set_capabilities(std::uint32_t low) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    const std::array<__user_cap_data_struct, 2> sets{{{low, low, low}, {}}};
    if (::syscall(SYS_capset, &header, sets.data()) != 0) return system_error("capset");
    return {};
}

Status carry_capabilities_over_exec() {
    std::uint32_t carried = 0;
    for (const int one : kNurseryStart) carried |= 1U << static_cast<unsigned>(one);
    if (const auto set = set_capabilities(carried); !set) return set;
    for (const int one : kNurseryStart)
        if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, one, 0, 0) != 0)
            return system_error("PR_CAP_AMBIENT_RAISE");
    return {};
}

// Not by libcap-ng: linked into the worker's executable it would read /proc at each worker's start, which has
// no open().
Status drop_all_capabilities() {
    for (int one = 0; ::prctl(PR_CAPBSET_READ, one, 0, 0, 0) >= 0; ++one)
        if (::prctl(PR_CAPBSET_DROP, one, 0, 0, 0) != 0) return system_error("PR_CAPBSET_DROP");
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        return system_error("PR_CAP_AMBIENT_CLEAR_ALL");
    return set_capabilities(0);
}

Status take_ids(uid_t uid, gid_t gid) {
    if (::setresgid(gid, gid, gid) != 0) return system_error("setresgid");
    if (::setresuid(uid, uid, uid) != 0) return system_error("setresuid");
    return {};
}

Status make_empty_root() {
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        return system_error("mount(private)");
    if (::mount("none", kMountPoint, "tmpfs", kMountFlags, "mode=0555,size=4k,nr_inodes=1") != 0)
        return system_error("mount(tmpfs)");
    if (::chdir(kMountPoint) != 0) return system_error("chdir");
    // With both names the same the old root ends up on top of the new one, and is taken off from there.
    if (::syscall(SYS_pivot_root, ".", ".") != 0) return system_error("pivot_root");
    if (::umount2(".", MNT_DETACH) != 0) return system_error("umount2");
    if (::chdir("/") != 0) return system_error("chdir");
    if (::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_RDONLY | kMountFlags, nullptr) != 0)
        return system_error("mount(read-only)");
    return {};
}

}  // namespace sallyport::sandbox
