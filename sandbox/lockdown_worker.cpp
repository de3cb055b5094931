// The lockdown of the nursery and of a worker, each one straight line, and the steps that all lockdowns
// share.
// Runs in:  nursery, worker; the steps also in broker and compiler

#include "sandbox/lockdown.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "sandbox/landlock.hpp"
#include "sandbox/steps.hpp"

namespace sallyport::sandbox {

namespace {

// Closes everything above standard error but `kept`; those are closed in turn by the next execve().
Status keep_descriptors(std::vector<unsigned> kept) {
    std::ranges::sort(kept);
    unsigned from = STDERR_FILENO + 1;
    for (const unsigned fd : kept) {
        if (fd > from && ::close_range(from, fd - 1, 0) != 0) return system_error("close_range");
        if (fd >= from && ::fcntl(static_cast<int>(fd), F_SETFD, FD_CLOEXEC) != 0)
            return system_error("F_SETFD");
        from = std::max(from, fd + 1);
    }
    if (::close_range(from, ~0U, 0) != 0) return system_error("close_range");
    return {};
}

}  // namespace

Status set_process(int option, unsigned long value, const char* what) {
    if (::prctl(option, value, 0, 0, 0) != 0) return system_error(what);
    return {};
}

// Landlock is asked for what it must refuse: the root directory, which exists and which anybody may read
// otherwise.
Status prove_root_refused() {
    const UniqueFd root(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (root.is_open() || errno != EACCES)
        return failure(Errc::kProof, "landlock: does not refuse the root directory");
    return {};
}

Status lockdown_nursery(uid_t uid, gid_t gid, FdRef executable, std::span<const FdRef> kept) {
    // The ids of the namespace, so that the kernel knows this process by an unprivileged user outside, too.
    if (const auto ids = take_ids(uid, gid); !ids) return ids;
    // Ends with the broker, even if it is stopped. After the ids, whose change takes this back.
    if (const auto set = set_process(PR_SET_PDEATHSIG, SIGKILL, "PR_SET_PDEATHSIG"); !set) return set;
    // An empty root.
    if (const auto root = make_empty_root(); !root) return root;
    // Descriptors: the standard three, those named, the executable.
    std::vector<unsigned> descriptors{static_cast<unsigned>(executable.get())};
    for (const FdRef one : kept) descriptors.push_back(static_cast<unsigned>(one.get()));
    if (const auto closed = keep_descriptors(std::move(descriptors)); !closed) return closed;
    // Limits.
    if (const auto limits = set_limits(Process::kNursery); !limits) return limits;
    // Capabilities: none, in all five sets.
    if (const auto dropped = drop_all_capabilities(); !dropped) return dropped;
    // No program that is ever executed gains anything.
    if (const auto set = set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"); !set) return set;
    // A worker that was taken over cannot look into the nursery; the broker, which made the user namespace,
    // can.
    if (const auto set = set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE"); !set) return set;
    // Files: the executable, to be executed. The kernel opens it anew, for reading.
    const landlock::Grant grant{.fd = executable.get(),
                                .rights = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE};
    if (const auto restricted = landlock::restrict_to({&grant, 1}); !restricted) return restricted;
    if (const auto proved = prove_root_refused(); !proved) return proved;
    // System calls.
    return install_filter(Process::kNursery, {});
}

Result<Filter> filter_of_workers() {
    return Filter::compile(Process::kWorker, {});
}

Status hide_again() {
    return set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE");
}

Status lockdown_worker(const Filter& filter) {
    // Limits.
    if (const auto limits = set_limits(Process::kWorker); !limits) return limits;
    // No other process of the same user may read its memory; no core files.
    if (const auto set = set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE"); !set) return set;
    // Files: nothing at all. There is no probe: the nursery's rules refuse the same call, and the filter has
    // no open().
    if (const auto restricted = landlock::restrict_to({}); !restricted) return restricted;
    // System calls.
    return filter.install();
}

}  // namespace sallyport::sandbox
