// The lockdown of the broker, the files hand, the guard, the launcher, the inspector, the recorder and the policy compiler, each one straight
// line.
// Runs in:  broker, files, guard, launcher, inspector, recorder, compiler
#include "sandbox/lockdown.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "sandbox/landlock.hpp"
#include "sandbox/planner.hpp"
#include "sandbox/steps.hpp"

namespace sallyport::sandbox {

namespace {

constexpr rlim_t kLockedMemory = rlim_t{256} << 20U;  // more than broker or guard ever map

Status prove_mkdir_refused(FdRef directory) {
    constexpr const char* kProbe = ".landlock-probe";
    const bool made = ::mkdirat(directory.get(), kProbe, 0) == 0;
    if (!made && errno == EACCES) return {};
    if (made) ::unlinkat(directory.get(), kProbe, AT_REMOVEDIR);
    return failure(Errc::kProof, "landlock: does not refuse a new directory in the state directory");
}

std::uint64_t rights(const FilesNeeds::Tree& tree) {
    std::uint64_t all = 0;
    if (tree.read) all |= LANDLOCK_ACCESS_FS_READ_FILE;
    if (tree.write) all |= LANDLOCK_ACCESS_FS_WRITE_FILE | landlock::kTruncate;
    // A new file that cannot get the mode of its rule is taken away again.
    if (tree.create) all |= LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE;
    if (tree.list) all |= LANDLOCK_ACCESS_FS_READ_DIR;
    return all;
}

Status prove_files_refused() {
    const UniqueFd file(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
    if (file.is_open() || errno != EACCES) return failure(Errc::kProof, "landlock: does not refuse a file");
    return {};
}

// Files for reading: the trees, or whatever has a name that is known. Directories can be listed in the trees only.
Status restrict_inspector(const InspectorNeeds& needs, bool follows_links) {
    std::vector<UniqueFd> opened;
    std::vector<landlock::Grant> grants;
    const auto grant = [&](const char* path, std::uint64_t rights) {
        opened.emplace_back(::open(path, O_PATH | O_CLOEXEC));
        if (opened.back().is_open()) grants.push_back({.fd = opened.back().get(), .rights = rights});
    };
    for (const auto& [path, list] : needs.trees)
        grant(path, LANDLOCK_ACCESS_FS_READ_FILE | (list ? LANDLOCK_ACCESS_FS_READ_DIR : 0));
    if (follows_links) grant("/", LANDLOCK_ACCESS_FS_READ_FILE);
    if (const auto restricted = landlock::restrict_to(grants); !restricted) return restricted;
    return prove_root_refused();
}

}  // namespace

Status lock_memory() {
    // Future memory only where the limit cannot be met: it would not be had at all then.
    rlimit limit{};
    if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return system_error("getrlimit");
    const int future = limit.rlim_cur >= kLockedMemory ? MCL_FUTURE : 0;
    if (::geteuid() != 0 || ::mlockall(MCL_CURRENT | MCL_ONFAULT | future) == 0) return {};
    return system_error("mlockall");
}

Status lockdown_broker(const Needs& needs) {
    // Limits.
    if (const auto limits = set_limits(Process::kBroker); !limits) return limits;
    // Capabilities: none, whatever the policy says.
    if (const auto dropped = keep_capabilities({}); !dropped) return dropped;
    // No program that is ever executed gains anything.
    if (const auto set = set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"); !set) return set;
    // No other process of the same user may read its memory; no core files.
    if (const auto set = set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE"); !set) return set;
    // Files: none but those that are open, or are handed to it.
    if (const auto restricted = landlock::restrict_to({}); !restricted) return restricted;
    if (const auto proved = prove_root_refused(); !proved) return proved;
    // System calls.
    return install_filter(Process::kBroker, needs);
}

Status lockdown_files(const FilesNeeds& needs, FdRef state_directory) {
    // Limits.
    if (const auto limits = set_limits(Process::kFiles); !limits) return limits;
    // Capabilities: what the policy makes necessary and root has; an ordinary user has none to begin with.
    const auto kept = ::geteuid() == 0 ? files_capabilities(needs) : std::vector<KeptCapability>{};
    if (const auto dropped = keep_capabilities(kept); !dropped) return dropped;
    // Ends with the broker, even if it is stopped.
    if (const auto set = set_process(PR_SET_PDEATHSIG, SIGKILL, "PR_SET_PDEATHSIG"); !set) return set;
    // No program that is ever executed gains anything.
    if (const auto set = set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"); !set) return set;
    // No other process of the same user may read its memory; no core files.
    if (const auto set = set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE"); !set) return set;
    // Files: the trees of the policy.
    std::vector<landlock::Grant> grants;
    for (const FilesNeeds::Tree& tree : needs.trees)
        grants.push_back({.fd = tree.fd, .rights = rights(tree)});
    if (const auto restricted = landlock::restrict_to(grants); !restricted) return restricted;
    if (const auto proved = prove_mkdir_refused(state_directory); !proved) return proved;
    // System calls.
    return install_filter(
        Process::kFiles,
        {.writes_files = needs.writes_files, .creates_files = needs.creates_files, .forks = true});
}

Result<Filter> filter_of_clerks(const FilesNeeds& needs) {
    return Filter::compile(Process::kFiles,
                           {.writes_files = needs.writes_files, .creates_files = needs.creates_files});
}

Status lockdown_clerk(pid_t parent, const Filter& filter) {
    // Ends with its parent.
    if (const auto set = set_process(PR_SET_PDEATHSIG, SIGKILL, "PR_SET_PDEATHSIG"); !set) return set;
    if (::getppid() != parent) return failure(Errc::kClosed, "the parent has gone");
    // System calls.
    return filter.install();
}

Status lockdown_guard(FdRef root, FdRef sys) {
    // Memory: what was touched once stays; before a freeze everything is touched.
    if (const auto locked = lock_memory(); !locked) return locked;
    // Limits.
    if (const auto limits = set_limits(Process::kGuard); !limits) return limits;
    // Capabilities: those of the table, if root started it.
    const auto kept = ::geteuid() == 0 ? guard_capabilities() : std::span<const KeptCapability>();
    if (const auto dropped = keep_capabilities(kept); !dropped) return dropped;
    // No program that is ever executed gains anything.
    if (const auto set = set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"); !set) return set;
    // No other process of the same user may read its memory; no core files.
    if (const auto set = set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE"); !set) return set;
    // Files: directories may be opened, and what /sys says be read.
    const std::array grants{
        landlock::Grant{.fd = root.get(), .rights = LANDLOCK_ACCESS_FS_READ_DIR},
        landlock::Grant{.fd = sys.get(),
                        .rights = LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_READ_FILE}};
    if (const auto restricted = landlock::restrict_to(grants); !restricted) return restricted;
    if (const auto proved = prove_files_refused(); !proved) return proved;
    // System calls.
    return install_filter(Process::kGuard, {.forks = true});
}

Result<Filter> filter_of_planners() {
    return Filter::compile(Process::kGuard, {});
}

Status lockdown_planner(FdRef sys, const Filter& filter) {
    // Capabilities: none. The guard has emptied the other sets.
    if (const auto dropped = set_capabilities(0); !dropped) return dropped;
    // No program that is ever executed gains anything. The guard has this too, but not where it was started to thaw only.
    if (const auto set = set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"); !set) return set;
    // Files: what /sys says.
    const std::array grants{landlock::Grant{
        .fd = sys.get(), .rights = LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_READ_FILE}};
    if (const auto restricted = landlock::restrict_to(grants); !restricted) return restricted;
    if (const auto proved = prove_root_refused(); !proved) return proved;
    // System calls.
    return filter.install();
}

Status lockdown_launcher(const LauncherNeeds& needs) {
    // Capabilities: the few it uses. The bounding set stays, since a program of root starts with all of that.
    const auto kept = ::geteuid() == 0 ? launcher_capabilities(needs) : std::vector<KeptCapability>{};
    if (const auto dropped = keep_capabilities(kept, Bounding::kLeave); !dropped) return dropped;
    // No other process of the same user may read its memory; no core files.
    return set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE");
}

Status lockdown_setter(const SetterNeeds& needs) {
    // Limits.
    if (const auto limits = set_limits(Process::kSetter); !limits) return limits;
    // Capabilities: one, for the clock, if root started it and the service manager left it. Files of root's are written by their owner.
    const bool keeps_it =
        needs.sets_clock && ::geteuid() == 0 && ::prctl(PR_CAPBSET_READ, CAP_SYS_TIME, 0, 0, 0) == 1;
    const auto kept = keeps_it ? setter_capabilities() : std::span<const KeptCapability>();
    if (const auto dropped = keep_capabilities(kept); !dropped) return dropped;
    // No program that is ever executed gains anything.
    if (const auto set = set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"); !set) return set;
    // No other process of the same user may read its memory; no core files.
    if (const auto set = set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE"); !set) return set;
    // Files: those of the devices, where there are any; none is made.
    std::vector<landlock::Grant> grants;
    const UniqueFd devices(needs.devices != nullptr ? ::open(needs.devices, O_PATH | O_CLOEXEC) : -1);
    if (devices.is_open())
        grants.push_back({.fd = devices.get(),
                          .rights = LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_READ_FILE |
                                    LANDLOCK_ACCESS_FS_WRITE_FILE});
    if (const auto restricted = landlock::restrict_to(grants); !restricted) return restricted;
    if (const auto proved = prove_root_refused(); !proved) return proved;
    // System calls.
    return install_filter(Process::kSetter,
                          {.sets_clock = needs.sets_clock, .sets_devices = needs.devices != nullptr});
}

Status lockdown_supervisor() {
    // Capabilities: to end what has become another user's.
    const auto kept = ::geteuid() == 0 ? launcher_capabilities({}) : std::vector<KeptCapability>{};
    if (const auto dropped = keep_capabilities(kept); !dropped) return dropped;
    // No program that is ever executed gains anything.
    if (const auto set = set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"); !set) return set;
    // Files: what is open. Signals reach further than Landlock would let them, and reading is for the list of its children.
    return landlock::refuse_writes({});
}

Status confine_program(std::span<const int> write) {
    // Capabilities: none.
    if (const auto dropped = keep_capabilities({}); !dropped) return dropped;
    // By executing it gets none back, not even as root, and not by a program that is set-user-id or has some of its own.
    if (const auto set = set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"); !set) return set;
    if (write.empty()) return {};
    // Files: written only beneath these.
    const UniqueFd null(::open("/dev/null", O_PATH | O_CLOEXEC));
    if (!null.is_open()) return system_error("/dev/null");
    std::vector<landlock::Grant> grants{{.fd = null.get(), .rights = LANDLOCK_ACCESS_FS_WRITE_FILE}};
    for (const int directory : write) grants.push_back({.fd = directory, .rights = landlock::kWriting});
    return landlock::refuse_writes(grants);
}

Status lockdown_inspector(uid_t uid, gid_t gid, const InspectorNeeds& needs) {
    // The ids of the namespace, so that the kernel knows this process by an unprivileged user outside, too.
    if (const auto ids = take_ids(uid, gid); !ids) return ids;
    // Ends with the broker, even if it is stopped. After the ids, whose change takes this back.
    if (const auto set = set_process(PR_SET_PDEATHSIG, SIGKILL, "PR_SET_PDEATHSIG"); !set) return set;
    // Limits.
    if (const auto limits = set_limits(Process::kInspector); !limits) return limits;
    // Capabilities: none, in all five sets.
    if (const auto dropped = drop_all_capabilities(); !dropped) return dropped;
    // No program that is ever executed gains anything.
    if (const auto set = set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"); !set) return set;
    // No other process of the same user may read its memory; no core files.
    if (const auto set = set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE"); !set) return set;
    // Files: what its children can read, and what they open before their own lockdown.
    if (const auto restricted = restrict_inspector(needs, needs.follows_links); !restricted)
        return restricted;
    // System calls.
    return install_filter(Process::kInspector, {.asks_netlink = needs.asks_netlink, .forks = true});
}

Result<Filter> filter_of_inspector_children(const InspectorNeeds& needs) {
    return Filter::compile(Process::kInspector, {.asks_netlink = needs.asks_netlink});
}

Status lockdown_inspector_child(const InspectorNeeds& needs, const Filter& filter) {
    // Files: what the allowed commands look up by name, for reading.
    if (const auto restricted = restrict_inspector(needs, false); !restricted) return restricted;
    // System calls.
    return filter.install();
}

Status restrict_recorder(FdRef directory) {
    const std::array grants{
        landlock::Grant{.fd = directory.get(),
                        .rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                  LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE}};
    return landlock::restrict_to(grants);
}

Status lockdown_recorder(FdRef directory) {
    // Limits.
    if (const auto limits = set_limits(Process::kRecorder); !limits) return limits;
    // Capabilities: none. The directory is its own user's.
    if (const auto dropped = keep_capabilities({}); !dropped) return dropped;
    // No program that is ever executed gains anything.
    if (const auto set = set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"); !set) return set;
    // No other process of the same user may read its memory; no core files.
    if (const auto set = set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE"); !set) return set;
    // Files: the log's directory.
    if (const auto restricted = restrict_recorder(directory); !restricted) return restricted;
    if (const auto proved = prove_mkdir_refused(directory); !proved) return proved;
    if (const auto proved = prove_root_refused(); !proved) return proved;
    // System calls.
    return install_filter(Process::kRecorder, {});
}

Status lockdown_compiler() {
    // Limits.
    if (const auto limits = set_limits(Process::kCompiler); !limits) return limits;
    // Capabilities: none.
    if (const auto dropped = keep_capabilities({}); !dropped) return dropped;
    // No program that is ever executed gains anything.
    if (const auto set = set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"); !set) return set;
    // No other process of the same user may read its memory; no core files.
    if (const auto set = set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE"); !set) return set;
    // Files: none but those that are open.
    if (const auto restricted = landlock::restrict_to({}); !restricted) return restricted;
    if (const auto proved = prove_root_refused(); !proved) return proved;
    // System calls.
    return install_filter(Process::kCompiler, {});
}

}  // namespace sallyport::sandbox
