// The lockdown of the broker, of the inspector and of the policy compiler, each one straight line.
// Runs in:  broker, inspector, compiler
#include "sandbox/lockdown.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "sandbox/landlock.hpp"
#include "sandbox/steps.hpp"

namespace sallyport::sandbox {

namespace {

Status prove_mkdir_refused(FdRef directory) {
    constexpr const char* kProbe = ".landlock-probe";
    const bool made = ::mkdirat(directory.get(), kProbe, 0) == 0;
    if (!made && errno == EACCES) return {};
    if (made) ::unlinkat(directory.get(), kProbe, AT_REMOVEDIR);
    return failure(Errc::kProof, "landlock: does not refuse a new directory in the state directory");
}

std::uint64_t rights(const BrokerNeeds::Tree& tree) {
    std::uint64_t all = 0;
    if (tree.read) all |= LANDLOCK_ACCESS_FS_READ_FILE;
    if (tree.write) all |= LANDLOCK_ACCESS_FS_WRITE_FILE | landlock::kTruncate;
    if (tree.create) all |= LANDLOCK_ACCESS_FS_MAKE_REG;
    if (tree.list) all |= LANDLOCK_ACCESS_FS_READ_DIR;
    return all;
}

}  // namespace

Status lockdown_broker(const BrokerNeeds& needs) {
    // Limits.
    if (const auto limits = set_limits(Process::kBroker); !limits) return limits;
    // Capabilities: what the policy makes necessary and root has; an ordinary user has none to begin with.
    const auto kept = ::geteuid() == 0 ? broker_capabilities(needs) : std::vector<KeptCapability>{};
    if (const auto dropped = keep_capabilities(kept); !dropped) return dropped;
    // No program that is ever executed gains anything.
    if (const auto set = set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"); !set) return set;
    // No other process of the same user may read its memory; no core files.
    if (const auto set = set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE"); !set) return set;
    // Files: the trees of the policy.
    std::vector<landlock::Grant> grants;
    for (const BrokerNeeds::Tree& tree : needs.trees)
        grants.push_back({.fd = tree.fd, .rights = rights(tree)});
    if (const auto restricted = landlock::restrict_to(grants); !restricted) return restricted;
    if (const auto proved = prove_mkdir_refused(FdRef(needs.state_directory)); !proved) return proved;
    // System calls.
    return install_filter(Process::kBroker, needs);
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
    // Files: what the allowed commands look up by name, for reading.
    std::vector<UniqueFd> opened;
    std::vector<landlock::Grant> grants;
    for (const auto& [path, list] : needs.trees) {
        opened.emplace_back(::open(path, O_PATH | O_CLOEXEC));
        const auto rights = LANDLOCK_ACCESS_FS_READ_FILE | (list ? LANDLOCK_ACCESS_FS_READ_DIR : 0);
        if (opened.back().is_open()) grants.push_back({.fd = opened.back().get(), .rights = rights});
    }
    if (const auto restricted = landlock::restrict_to(grants); !restricted) return restricted;
    if (const auto proved = prove_root_refused(); !proved) return proved;
    // System calls.
    return install_filter(Process::kInspector, {.asks_netlink = needs.asks_netlink});
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
