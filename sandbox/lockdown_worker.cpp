// The lockdown of the nursery and of a worker, each one straight line.
// Runs in:  nursery, worker
#include "sandbox/lockdown.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "sandbox/landlock.hpp"
#include "sandbox/places.hpp"
#include "sandbox/steps.hpp"

namespace sallyport::sandbox {

namespace {

// Closes everything above standard error but `kept`, which the next execve() closes.
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

Status lockdown_nursery(uid_t uid, gid_t gid, FdRef executable, std::span<const FdRef> kept) {
    // Ids: those of the namespace, so that this process is an unprivileged user outside, too.
    TRY(take_ids(uid, gid));
    // Ends with the broker, even while it is stopped. After the ids, whose change resets this.
    TRY(set_process(PR_SET_PDEATHSIG, SIGKILL, "PR_SET_PDEATHSIG"));
    // An empty root.
    TRY(make_empty_root());
    // Descriptors: the standard three, `kept`, and the executable.
    std::vector<unsigned> descriptors{static_cast<unsigned>(executable.get())};
    for (const FdRef one : kept) descriptors.push_back(static_cast<unsigned>(one.get()));
    TRY(keep_descriptors(std::move(descriptors)));
    // Limits.
    TRY(set_limits(Process::kNursery));
    // Capabilities: none, in all five sets.
    TRY(drop_all_capabilities());
    // No program that is ever executed gains anything.
    TRY(set_process(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS"));
    // No worker that was taken over may read its memory. The starter, which made the user namespace, may.
    TRY(set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE"));
    // Files: the executable may be executed, for which the kernel opens it for reading.
    const landlock::Grant grant{.fd = executable.get(), .rights = kWorkersExecutable.rights};
    TRY(landlock::restrict_to({&grant, 1}));
    TRY(prove_root_refused());
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
    TRY(set_limits(Process::kWorker));
    // No other process of the same user may read its memory; no core files.
    TRY(set_process(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE"));
    // Files: nothing at all. No probe: the nursery's rules refuse the same call already, and no filter has an open().
    TRY(landlock::restrict_to({}));
    // System calls.
    return filter.install();
}

}  // namespace sallyport::sandbox
