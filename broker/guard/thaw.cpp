// Runs in:  children of the guard; thaw_pass() also in the guard itself, if both its children are gone
#include "broker/guard/thaw.hpp"

#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "broker/guard/spawn.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"

namespace sallyport::guard {

namespace {

constexpr std::size_t kMostHelpers = 32;
constexpr int kSyncPasses = 4;
constexpr std::int64_t kShortSync = 20'000'000;  // ns; after a pass this short, little is left to write

void wake_guard(const Duty& duty) {
    [[maybe_unused]] const ssize_t sent = ::send(duty.life.get(), "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool is_over(const Duty& duty) {
    if (is_readable(duty.life, 0)) duty.shared.is_over = true;
    return duty.shared.is_over;
}

// Has children of the freezer do `work` in parallel. Returns when all have ended, or at once when a thaw is ordered, even if some
// of them are stuck.
void share_out(const Duty& duty, std::size_t most, const std::function<void()>& work) {
    std::vector<UniqueFd> children;
    for (std::size_t at = 0; at < std::min(kMostHelpers, most); ++at) {
        auto child = fork_child(work);
        if (child) children.push_back(*std::move(child));
        if (!child) work();
    }
    while (!children.empty() && !is_over(duty)) {
        std::vector<pollfd> wanted{{.fd = duty.life.get(), .events = POLLIN, .revents = 0}};
        for (const UniqueFd& child : children)
            wanted.push_back({.fd = child.get(), .events = POLLIN, .revents = 0});
        ::ppoll(wanted.data(), wanted.size(), nullptr, nullptr);
        std::erase_if(children, [](const UniqueFd& child) { return is_readable(child, 0); });
    }
}

// Takes the next unclaimed file system until there is none.
void sync_some(const Duty& duty) {
    for (std::uint32_t at = duty.shared.next++; at < duty.held.size() && !duty.shared.is_over;
         at = duty.shared.next++) {
        auto& entry = duty.shared.entries[at];
        advance(entry.state, Event::kSyncBegins);
        // The freeze reports what could not be synced.
        [[maybe_unused]] const int synced = ::syncfs(duty.held[at].fd.get());
        advance(entry.state, Event::kSyncEnds);
        wake_guard(duty);
    }
}

// The slowest file system determines the time, not the sum. Repeated while a pass takes long: others write meanwhile, and what is
// not on the disk before the first freeze is written while all writers wait.
void sync_all(const Duty& duty) {
    for (int pass = 0; pass < kSyncPasses && !is_over(duty); ++pass) {
        const std::int64_t begun = now_ns();
        duty.shared.next = 0;
        share_out(duty, duty.held.size(), [&] { sync_some(duty); });
        if (now_ns() - begun < kShortSync) return;
    }
}

Event freeze_one(const Duty& duty, std::size_t at) {
    if (::ioctl(duty.held[at].fd.get(), FIFREEZE, 0) == 0) return Event::kFreezeDone;
    const int error = errno;
    duty.shared.entries[at].sys_errno = error;
    if (error == EOPNOTSUPP || error == ENOTTY) return Event::kFreezeUnsupported;
    return error == EBUSY && !duty.fails_if_frozen ? Event::kFreezeBusy : Event::kFreezeRefused;
}

// Freezes unclaimed entries before `end`. What is frozen after a thaw was ordered is thawed by the process that froze it.
void freeze_some(const Duty& duty, std::size_t end) {
    for (;;) {
        if (is_over(duty) || duty.shared.has_failed) return;
        const std::uint32_t at = duty.shared.next++;
        if (at >= end) return;
        if (!claim_freeze(duty.shared, at)) return;
        wake_guard(duty);
        const Event event = freeze_one(duty, at);
        advance(duty.shared.entries[at].state, event);
        if (event == Event::kFreezeRefused) duty.shared.has_failed = true;
        // Others may have looked, and wait for one that is held up in its freeze.
        if (is_over(duty)) thaw_pass(duty.shared, duty.held, false);
        wake_guard(duty);
    }
}

// Thaws an entry in kThawing. `if_not`: the event if it was not frozen.
void thaw_one(Shared::Entry& entry, const Held& held, Event if_not) {
    if (::ioctl(held.fd.get(), FITHAW, 0) == 0) {
        advance(entry.state, Event::kThawDone);
    } else if (errno == EINVAL) {
        advance(entry.state, if_not);
    } else {
        entry.sys_errno = errno;
        advance(entry.state, Event::kThawRefused);
    }
}

// The process that was to freeze it was killed before, during or after that. It is made not frozen, and the freeze fails.
void undo_one(Shared::Entry& entry, const Held& held) {
    if (entry.state != State::kFreezing) {
        if (advance(entry.state, Event::kFreezerLost)) entry.sys_errno = EOWNERDEAD;
        return;
    }
    if (!advance(entry.state, Event::kThawTakenUp)) return;
    const bool is_thawed = ::ioctl(held.fd.get(), FITHAW, 0) == 0 || errno == EINVAL;
    entry.sys_errno = is_thawed ? EOWNERDEAD : errno;
    advance(entry.state, is_thawed ? Event::kFreezeUndone : Event::kThawRefused);
}

// The guard died, so the children tell the broker. The last one to do so reports that nothing is left.
void report_orphaned(const Duty& duty) {
    ipc::GuardReply reply;
    ipc::Thawed& thawed = *reply.mutable_thawed();
    thawed.set_cause(ipc::Thawed::LOST_PROCESS);
    thawed.set_freeze(duty.listener.freeze);
    std::uint32_t left = 0;
    std::uint32_t count = 0;
    for (std::size_t at = 0; at < duty.held.size(); ++at) {
        const State state = duty.shared.entries[at].state;
        if (state == State::kThawed) ++count;
        if (may_be_frozen(state)) ++left;
    }
    thawed.set_count(count);
    thawed.set_left(left);
    [[maybe_unused]] const auto sent = ipc::say(duty.listener.broker, reply, ipc::WhenFull::kFail);
}

}  // namespace

bool claim_freeze(Shared& shared, std::size_t at) {
    auto& state = shared.entries[at].state;
    SALLYPORT_CHECK(advance(state, Event::kFreezeBegins));
    if (!shared.is_over) return true;
    advance(state, Event::kFreezeCalledOff);
    return false;
}

// Level by level; what is on one level side by side, since most of a freeze is waiting for the kernel's other CPUs.
void freeze_all(const Duty& duty) {
    sync_all(duty);
    duty.shared.first_ns = now_ns();
    duty.shared.progress = Progress::kFreezing;
    for (std::size_t begin = 0; begin < duty.held.size() && !is_over(duty) && !duty.shared.has_failed;) {
        std::size_t end = begin;
        while (end < duty.held.size() && duty.held[end].level == duty.held[begin].level) ++end;
        duty.shared.next = static_cast<std::uint32_t>(begin);
        share_out(duty, end - begin, [&] { freeze_some(duty, end); });
        begin = end;
    }
    for (std::size_t at = 0; at < duty.held.size() && !is_over(duty); ++at)
        if (!duty.shared.has_failed || duty.shared.entries[at].state == State::kFreezing)
            undo_one(duty.shared.entries[at], duty.held[at]);
    duty.shared.last_ns = now_ns();
    duty.shared.progress = Progress::kDone;
    wake_guard(duty);
}

void thaw_pass(Shared& shared, std::span<const Held> held, bool also_claimed) {
    const auto claim = [&](Event event, State from) {
        for (std::size_t at = held.size(); at-- > 0;)
            if (shared.entries[at].state == from && advance(shared.entries[at].state, event))
                thaw_one(shared.entries[at], held[at], Event::kThawNotFrozen);
    };
    claim(Event::kThawBegins, State::kFrozen);
    if (!also_claimed) return;
    claim(Event::kThawTakenUp, State::kFreezing);
    claim(Event::kThawTakenUp, State::kThawFailed);
    // The process that claimed these finished, or died before or after the call.
    for (std::size_t at = held.size(); at-- > 0;)
        if (shared.entries[at].state == State::kThawing)
            thaw_one(shared.entries[at], held[at], Event::kThawDoneByOther);
}

void thaw_at_end(const Duty& duty) {
    is_readable(duty.life, -1);
    duty.shared.is_over = true;
    thaw_pass(duty.shared, duty.held, false);
    const auto is_freezing = [&] {
        return std::ranges::any_of(std::span(duty.shared.entries).first(duty.held.size()),
                                   [](const auto& entry) { return entry.state == State::kFreezing; });
    };
    while (is_freezing() && !is_readable(duty.freezing, 20)) {
    }
    thaw_pass(duty.shared, duty.held, true);
    wake_guard(duty);
    if (!duty.shared.is_ordered) report_orphaned(duty);
}

}  // namespace sallyport::guard
