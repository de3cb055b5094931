// What the children of the guard do with file systems.
// Runs in:  children of the guard; thaw_pass() also in a guard that is alone
#include "broker/guard/thaw.hpp"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <ranges>

#include "broker/guard/spawn.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"

namespace sallyport::guard {

namespace {

constexpr std::size_t kSyncers = 32;
constexpr int kSyncPasses = 4;
constexpr std::int64_t kShortSync = 20'000'000;  // ns; a pass as short as this leaves little to write

void wake_guard(const Job& job) {
    [[maybe_unused]] const ssize_t sent = ::send(job.life.get(), "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool is_over(const Job& job) {
    if (is_readable(job.life, 0)) job.shared.is_over = true;
    return job.shared.is_over;
}

// A child of the freezer's: takes the next that nobody takes.
void sync_some(const Job& job) {
    for (;;) {
        const std::uint32_t at = job.shared.next++;
        if (at >= job.held.size() || job.shared.is_over) return;
        auto& entry = job.shared.entries[at];
        entry.state = State::kSyncing;
        // What cannot be written out, freezing will find again.
        [[maybe_unused]] const int synced = ::syncfs(job.held[at].fd.get());
        entry.state = State::kSynced;
        wake_guard(job);
    }
}

// Side by side, so that the slowest file system decides and not the sum. Again while it took long: meanwhile writers have
// written on, and what is not written out before the first freeze is written out while they wait.
void sync_all(const Job& job) {
    for (int pass = 0; pass < kSyncPasses && !is_over(job); ++pass) {
        const std::int64_t begun = now_ns();
        job.shared.next = 0;
        for (std::size_t at = 0; at < std::min(kSyncers, job.held.size()); ++at)
            if (!fork_child([&] { sync_some(job); })) sync_some(job);
        // SIGCHLD is ignored: it waits until there is no child.
        while (::waitid(P_ALL, 0, nullptr, WEXITED) == 0 || errno == EINTR) {
        }
        if (now_ns() - begun < kShortSync) return;
    }
}

State freeze_one(const Job& job, std::size_t at) {
    auto& entry = job.shared.entries[at];
    entry.state = State::kFreezing;
    if (::ioctl(job.held[at].fd.get(), FIFREEZE, 0) == 0) return entry.state = State::kFrozen;
    entry.sys_errno = errno;
    const int error = entry.sys_errno;
    if (error == EOPNOTSUPP || error == ENOTTY) return entry.state = State::kUnsupported;
    return entry.state = error == EBUSY && !job.fails_if_frozen ? State::kAlready : State::kFailed;
}

// `otherwise`: what it is if it turns out not to be frozen.
void thaw_one(Shared::Entry& entry, const Held& held, State otherwise) {
    if (::ioctl(held.fd.get(), FITHAW, 0) == 0) {
        entry.state = State::kThawed;
    } else if (errno == EINVAL) {
        State begun = State::kThawing;
        entry.state.compare_exchange_strong(begun, otherwise);
    } else {
        entry.sys_errno = errno;
        entry.state = State::kStuck;
    }
}

// The guard died, and nobody else tells the broker. The last of the children to do so sees nothing left.
void report_orphaned(const Job& job) {
    ipc::GuardReply reply;
    ipc::Thawed& thawed = *reply.mutable_thawed();
    thawed.set_cause(ipc::Thawed::LOST_PROCESS);
    std::uint32_t left = 0;
    std::uint32_t count = 0;
    for (std::size_t at = 0; at < job.held.size(); ++at) {
        const State state = job.shared.entries[at].state;
        if (state == State::kThawed) ++count;
        if (state == State::kFrozen || state == State::kThawing || state == State::kFreezing) ++left;
    }
    thawed.set_count(count);
    thawed.set_left(left);
    std::string bytes;
    ipc::encode(reply, bytes);
    [[maybe_unused]] const auto sent = ipc::send(job.broker, bytes, ipc::WhenFull::kFail);
}

}  // namespace

void freeze_all(const Job& job) {
    sync_all(job);
    job.shared.stage = Stage::kFreezing;
    job.shared.first_ns = now_ns();
    for (std::size_t at = 0; at < job.held.size() && !is_over(job); ++at) {
        wake_guard(job);
        if (freeze_one(job, at) == State::kFailed) break;
    }
    job.shared.last_ns = now_ns();
    job.shared.stage = Stage::kDone;
    wake_guard(job);
}

void thaw_pass(Shared& shared, std::span<const Held> held, bool also_claimed) {
    // Claims what is in state `from`, of which one that is not frozen was thawed by somebody else.
    const auto claim = [&](State from) {
        for (std::size_t at = held.size(); at-- > 0;) {
            State expected = from;
            auto& entry = shared.entries[at];
            if (entry.state.compare_exchange_strong(expected, State::kThawing))
                thaw_one(entry, held[at], State::kNotOurs);
        }
    };
    claim(State::kFrozen);
    if (!also_claimed) return;
    claim(State::kFreezing);
    claim(State::kStuck);
    // Whoever claimed these did what he wanted, or died before or after.
    for (std::size_t at = held.size(); at-- > 0;)
        if (shared.entries[at].state == State::kThawing)
            thaw_one(shared.entries[at], held[at], State::kThawed);
}

void thaw_at_end(const Job& job, const UniqueFd& freezer) {
    is_readable(job.life, -1);
    job.shared.is_over = true;
    thaw_pass(job.shared, job.held, false);
    const auto is_freezing = [&] {
        for (std::size_t at = 0; at < job.held.size(); ++at)
            if (job.shared.entries[at].state == State::kFreezing) return true;
        return false;
    };
    while (freezer.is_open() && is_freezing() && !is_readable(freezer, 20)) {
    }
    thaw_pass(job.shared, job.held, true);
    wake_guard(job);
    if (!job.shared.is_ordered) report_orphaned(job);
}

}  // namespace sallyport::guard
