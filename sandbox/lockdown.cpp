// The lockdown of every process but nursery and worker, each one straight line.
// Runs in:  broker, files, guard, launcher and its children, inspector, recorder, compiler
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
#include "sandbox/places.hpp"
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

Status prove_files_refused() {
    const UniqueFd file(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
    if (file.is_open() || errno != EACCES) return failure(Errc::kProof, "landlock: does not refuse a file");
    return {};
}

// Files may be opened for reading in the trees, or with `follows_links` everywhere. Directories can be listed in the trees only.
Status restrict_inspector(const InspectorNeeds& needs, bool follows_links) {
    std::vector<UniqueFd> opened;
    std::vector<landlock::Grant> grants;
    const auto grant = [&](const char* path, std::uint64_t rights) {
        opened.emplace_back(::open(path, O_PATH | O_CLOEXEC));
        if (opened.back().is_open()) grants.push_back({.fd = opened.back().get(), .rights = rights});
    };
    for (const InspectorNeeds::Tree& tree : needs.trees) grant(tree.path, rights_of(tree));
    if (follows_links) grant(kLinked.where, kLinked.rights);
    TRY(landlock::restrict_to(grants));
    return prove_root_refused();
}

// The steps that most lockdowns begin with. `kept` holds if root started the process; an ordinary user has no capability to begin with.
Status drop_powers(Process process, std::span<const KeptCapability> kept) {
    // Limits.
    TRY(set_limits(process));
    // Capabilities: those in `kept`.
    TRY(keep_capabilities(::geteuid() == 0 ? kept : std::span<const KeptCapability>()));
    // No program that is ever executed gains anything.
    TRY(set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"));
    // No other process of the same user may read its memory; no core files.
    return set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE");
}

}  // namespace

Status lock_memory() {
    // Later memory is locked only if the limit is never reached: at the limit, allocations would fail.
    rlimit limit{};
    if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return system_error("getrlimit");
    const int future = limit.rlim_cur >= kLockedMemory ? MCL_FUTURE : 0;
    if (::geteuid() != 0 || ::mlockall(MCL_CURRENT | MCL_ONFAULT | future) == 0) return {};
    return system_error("mlockall");
}

Status lockdown_broker(const Needs& needs) {
    TRY(drop_powers(Process::kBroker, {}));
    // Files: none but those that are open, or are handed to it.
    TRY(landlock::restrict_to({}));
    TRY(prove_root_refused());
    // System calls.
    return install_filter(Process::kBroker, needs);
}

Status lockdown_files(const FilesNeeds& needs, FdRef state_directory) {
    TRY(drop_powers(Process::kFiles, files_capabilities(needs)));
    // Ends with the broker, even while it is stopped.
    TRY(set_process(PR_SET_PDEATHSIG, SIGKILL, "PR_SET_PDEATHSIG"));
    // Files: the trees of the policy.
    std::vector<landlock::Grant> grants;
    for (const FilesNeeds::Tree& tree : needs.trees)
        grants.push_back({.fd = tree.fd, .rights = rights_of(tree)});
    TRY(landlock::restrict_to(grants));
    TRY(prove_mkdir_refused(state_directory));
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
    TRY(set_process(PR_SET_PDEATHSIG, SIGKILL, "PR_SET_PDEATHSIG"));
    if (::getppid() != parent) return failure(Errc::kClosed, "the parent has gone");
    // System calls.
    return filter.install();
}

Status lockdown_guard(FdRef root, FdRef sys) {
    // Memory: what was touched once stays; before a freeze everything is touched.
    TRY(lock_memory());
    TRY(drop_powers(Process::kGuard, guard_capabilities()));
    // Files: it may open directories, and read below /sys.
    const std::array grants{landlock::Grant{.fd = root.get(), .rights = kMountPoints.rights},
                            landlock::Grant{.fd = sys.get(), .rights = kSysfs.rights}};
    TRY(landlock::restrict_to(grants));
    TRY(prove_files_refused());
    // System calls.
    return install_filter(Process::kGuard, {.forks = true});
}

Result<Filter> filter_of_planners() {
    return Filter::compile(Process::kGuard, {});
}

Status lockdown_planner(FdRef sys, const Filter& filter) {
    // Capabilities: none. The guard has emptied the other sets.
    TRY(set_capabilities(0));
    // No program that is ever executed gains anything. A guard that was started only to thaw has not set this.
    TRY(set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"));
    // Files: it may read below /sys.
    const std::array grants{landlock::Grant{.fd = sys.get(), .rights = kSysfs.rights}};
    TRY(landlock::restrict_to(grants));
    TRY(prove_root_refused());
    // System calls.
    return filter.install();
}

Status lockdown_launcher(const LauncherNeeds& needs) {
    // Capabilities: the few it uses. The bounding set stays, since a program of root starts with all of that.
    const auto kept = ::geteuid() == 0 ? launcher_capabilities(needs) : std::vector<KeptCapability>{};
    TRY(keep_capabilities(kept, Bounding::kLeave));
    // No other process of the same user may read its memory; no core files.
    return set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE");
}

Status lockdown_setter(const SetterNeeds& needs) {
    // Of its capability the service manager may have taken away what the policy does not need. It writes files of root as their owner.
    const bool sets_clock = needs.sets_clock && ::prctl(PR_CAPBSET_READ, CAP_SYS_TIME, 0, 0, 0) == 1;
    TRY(drop_powers(Process::kSetter,
                    sets_clock ? setter_capabilities() : std::span<const KeptCapability>()));
    // Files: those of the devices, if there are any.
    std::vector<landlock::Grant> grants;
    const UniqueFd devices(needs.devices != nullptr ? ::open(needs.devices, O_PATH | O_CLOEXEC) : -1);
    if (devices.is_open()) grants.push_back({.fd = devices.get(), .rights = kDevices.rights});
    TRY(landlock::restrict_to(grants));
    TRY(prove_root_refused());
    // System calls.
    return install_filter(Process::kSetter,
                          {.sets_clock = needs.sets_clock, .sets_devices = needs.devices != nullptr});
}

Status lockdown_supervisor() {
    // Capabilities: to end a program that has become another user's.
    const auto kept = ::geteuid() == 0 ? launcher_capabilities({}) : std::vector<KeptCapability>{};
    TRY(keep_capabilities(kept));
    // No program that is ever executed gains anything.
    TRY(set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"));
    // Files: none is opened to be written. It signals processes that a Landlock scope would hide, and reads the list of its children.
    return landlock::refuse_writes({});
}

Status confine_program(std::span<const int> write) {
    // Capabilities: none.
    TRY(keep_capabilities({}));
    // No execution gives any back, neither root's nor that of a program that is set-user-id or has capabilities.
    TRY(set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"));
    if (write.empty()) return {};
    // Files: written only beneath these.
    const UniqueFd null(::open("/dev/null", O_PATH | O_CLOEXEC));
    if (!null.is_open()) return system_error("/dev/null");
    std::vector<landlock::Grant> grants{{.fd = null.get(), .rights = LANDLOCK_ACCESS_FS_WRITE_FILE}};
    for (const int directory : write) grants.push_back({.fd = directory, .rights = landlock::kWriting});
    return landlock::refuse_writes(grants);
}

Status lockdown_inspector(uid_t uid, gid_t gid, const InspectorNeeds& needs) {
    // Ids: those of the namespace, so that this process is an unprivileged user outside, too.
    TRY(take_ids(uid, gid));
    // Ends with the broker, even while it is stopped. After the ids, whose change resets this.
    TRY(set_process(PR_SET_PDEATHSIG, SIGKILL, "PR_SET_PDEATHSIG"));
    // Limits.
    TRY(set_limits(Process::kInspector));
    // Capabilities: none, in all five sets.
    TRY(drop_all_capabilities());
    // No program that is ever executed gains anything.
    TRY(set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"));
    // No other process of the same user may read its memory; no core files.
    TRY(set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE"));
    // Files: what its children can read, and what they open before their own lockdown.
    TRY(restrict_inspector(needs, needs.follows_links));
    // System calls.
    return install_filter(Process::kInspector, {.asks_netlink = needs.asks_netlink, .forks = true});
}

Result<Filter> filter_of_inspector_children(const InspectorNeeds& needs) {
    return Filter::compile(Process::kInspector, {.asks_netlink = needs.asks_netlink});
}

Status lockdown_inspector_child(const InspectorNeeds& needs, const Filter& filter) {
    // Files: those that the allowed commands look up by name, for reading.
    TRY(restrict_inspector(needs, false));
    // System calls.
    return filter.install();
}

Status restrict_recorder(FdRef directory) {
    const std::array grants{landlock::Grant{.fd = directory.get(), .rights = kLog.rights}};
    return landlock::restrict_to(grants);
}

Status lockdown_recorder(FdRef directory) {
    // It needs no capability: the directory is its own user's.
    TRY(drop_powers(Process::kRecorder, {}));
    // Files: the log's directory.
    TRY(restrict_recorder(directory));
    TRY(prove_mkdir_refused(directory));
    TRY(prove_root_refused());
    // System calls.
    return install_filter(Process::kRecorder, {});
}

Status lockdown_compiler(FdRef zones) {
    TRY(drop_powers(Process::kCompiler, {}));
    // Files: none but those that are open, and time zones.
    std::vector<landlock::Grant> grants;
    if (zones.get() >= 0) grants.push_back({.fd = zones.get(), .rights = kZones.rights});
    TRY(landlock::restrict_to(grants));
    TRY(prove_root_refused());
    // System calls.
    return install_filter(Process::kCompiler, {});
}

}  // namespace sallyport::sandbox
