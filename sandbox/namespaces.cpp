// Ids, capabilities and root directory of a process in namespaces of its own, and steps that every lockdown has.
// Runs in:  nursery and inspector, as pid 1 of their namespaces; carry_capabilities_over_exec() before the nursery's execve()
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "sandbox/steps.hpp"

namespace sallyport::sandbox {

namespace {

// A directory that exists wherever a broker could start.
constexpr const char* kMountPoint = "/proc";
constexpr unsigned long kMountFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

// What lockdown_nursery() needs in its own user namespace. All are among the first 32.
constexpr std::array kNurseryStart{CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_ADMIN};

}  // namespace

Status set_process(int option, unsigned long value, const char* what) {
    if (::prctl(option, value, 0, 0, 0) != 0) return system_error(what);
    return {};
}

Status prove_root_refused() {
    const UniqueFd root(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (root.is_open() || errno != EACCES)
        return failure(Errc::kProof, "landlock: does not refuse the root directory");
    return {};
}

Status set_capabilities(std::uint32_t low) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    const std::array<__user_cap_data_struct, 2> sets{{{low, low, low}, {}}};
    if (::syscall(SYS_capset, &header, sets.data()) != 0) return system_error("capset");
    return {};
}

Status carry_capabilities_over_exec() {
    std::uint32_t carried = 0;
    for (const int one : kNurseryStart) carried |= 1U << static_cast<unsigned>(one);
    TRY(set_capabilities(carried));
    for (const int one : kNurseryStart)
        if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, one, 0, 0) != 0)
            return system_error("PR_CAP_AMBIENT_RAISE");
    return {};
}

// Without libcap-ng: in the worker's executable it would read /proc at each start, where there is no open().
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
    // With both names equal, the kernel stacks the old root on the new one, and the next call unmounts it.
    if (::syscall(SYS_pivot_root, ".", ".") != 0) return system_error("pivot_root");
    if (::umount2(".", MNT_DETACH) != 0) return system_error("umount2");
    if (::chdir("/") != 0) return system_error("chdir");
    if (::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_RDONLY | kMountFlags, nullptr) != 0)
        return system_error("mount(read-only)");
    return {};
}

}  // namespace sallyport::sandbox
