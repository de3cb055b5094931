// Runs in:  files, after lockdown_files()
#include "broker/files/parent.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <span>
#include <utility>

#include "broker/files/clerk.hpp"
#include "ipc/codec.hpp"
#include "ipc/handover.hpp"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::files {

namespace {

constexpr int kOver = 0;
constexpr int kFailed = 1;

pollfd readable(FdRef fd) {
    return {.fd = fd.get(), .events = POLLIN, .revents = 0};
}

}  // namespace

int Parent::run() {
    ipc::FilesReply ready;
    for (const policy::Grant& one : hand_.table.unseen()) {
        ipc::FilesReady::Unseen& unseen = *ready.mutable_files_ready()->add_unseen();
        unseen.set_rule(static_cast<std::uint32_t>(one.rule));
        unseen.set_file(static_cast<std::uint32_t>(one.file));
    }
    ready.mutable_files_ready()->set_not_kept(hand_.table.not_kept());
    if (!say(ready)) return kFailed;
    for (;;) {
        if (!wait() || !bury()) return kFailed;
        if (const auto end = hear()) return *end;
    }
}

bool Parent::wait() const {
    std::vector<pollfd> wanted{readable(broker_)};
    for (const Child& child : children_) wanted.push_back(readable(child.process));
    return sandbox::wait_quietly(wanted, nullptr) >= 0 || errno == EINTR;
}

bool Parent::say(const ipc::FilesReply& reply) {
    return ipc::say(broker_, reply, ipc::WhenFull::kWait).has_value();
}

std::size_t Parent::count_killed() const {
    return static_cast<std::size_t>(std::ranges::count_if(children_, &Child::is_killed));
}

// Takes one order at most.
Parent::End Parent::hear() {
    ipc::FilesRequest request;
    const auto got = ipc::hear(broker_, request, frame_);
    if (!got) return got.error().code == Errc::kClosed ? kOver : kFailed;
    if (!*got) return std::nullopt;
    if (request.has_new_clerk()) return start_clerk();
    if (request.has_kill_clerk() && kill_clerk(request.kill_clerk().clerk())) return std::nullopt;
    return kFailed;
}

// Uses the raw call, since the filter allows exactly these flags.
Parent::End Parent::start_clerk() {
    ipc::FilesReply reply;
    // An honest broker never asks for more. Refusing one that does gives it nothing, and the other files stay open.
    if (children_.size() >= kMaxClerks || count_killed() >= kMaxHungClerks) {
        reply.mutable_clerk_not_started()->set_sys_errno(EAGAIN);
        return say(reply) ? std::nullopt : End(kFailed);
    }
    int process = -1;
    auto sockets = ipc::socket_pair();
    const long pid =
        sockets ? ::syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, nullptr, &process, nullptr, nullptr) : -1;
    if (pid == 0) return become_clerk(*std::move(sockets));
    if (pid < 0) {
        reply.mutable_clerk_not_started()->set_sys_errno(sockets ? errno : sockets.error().sys_errno);
        return say(reply) ? std::nullopt : End(kFailed);
    }
    children_.push_back({.number = ++last_, .process = UniqueFd(process)});
    reply.mutable_clerk_started()->set_clerk(last_);
    std::string bytes;
    ipc::encode(reply, bytes);
    const FdRef given(sockets->first);
    return ipc::give(broker_, bytes, std::span(&given, 1)) ? std::nullopt : End(kFailed);
}

// The clerk keeps nothing of the parent or of other clerks, and not the broker's end of its socket: otherwise it would never see
// end of file.
int Parent::become_clerk(std::pair<UniqueFd, UniqueFd> sockets) {
    children_.clear();
    broker_.reset();
    sockets.first.reset();
    if (!hand_.table.enter_process() || !sandbox::lockdown_clerk(hand_.parent, hand_.filter)) return kFailed;
    sandbox::forget_startup_code();
    return Clerk(std::move(sockets.second), hand_.table, hand_.clock).run();
}

bool Parent::kill_clerk(std::uint64_t number) {
    const auto child = std::ranges::find(children_, number, &Child::number);
    // It may have ended by itself meanwhile.
    if (child == children_.end()) return number != 0 && number <= last_;
    child->is_killed = true;
    return ::syscall(SYS_pidfd_send_signal, child->process.get(), SIGKILL, nullptr, 0) == 0 || errno == ESRCH;
}

// Reports clerks that have ended. False if the broker is gone.
bool Parent::bury() {
    for (std::size_t at = 0; at < children_.size();) {
        siginfo_t info{};
        const auto process = static_cast<id_t>(children_[at].process.get());
        if (::waitid(P_PIDFD, process, &info, WEXITED | WNOHANG) != 0) return false;
        if (info.si_pid == 0) {
            ++at;
            continue;
        }
        ipc::FilesReply reply;
        reply.mutable_clerk_ended()->set_clerk(children_[at].number);
        children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(at));
        if (!say(reply)) return false;
    }
    return true;
}

}  // namespace sallyport::files
