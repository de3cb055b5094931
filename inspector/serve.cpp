#include "inspector/serve.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "inspector/child.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/inspector.pb.h"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::inspector {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kOver = 0;
constexpr int kFailed = 1;
// A child that waits for a dead device does not end when it is killed.
constexpr std::size_t kMostChildren = 8;
// A host asks many things at once. One child answers them; nothing that took it over is there for those after.
constexpr milliseconds kLife(1000);
// Between the last part of an answer and the child's word that it is free.
constexpr milliseconds kMoment(5);

// A file system that takes longer has not answered, also for a host that asks for something else by then.
constexpr milliseconds kPatience(500);

enum class State : std::uint8_t { kBusy, kFree, kKilled };

struct Child {
    UniqueFd process;
    UniqueFd socket;
    Clock::time_point born;
    State state = State::kFree;
    std::uint64_t query = 0;
    Clock::time_point asked;
    Clock::time_point due;  // when it is killed
};

timespec to_timespec(Clock::duration time) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    return {.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds(time - seconds).count()};
}

pollfd readable(FdRef fd) {
    return {.fd = fd.get(), .events = POLLIN, .revents = 0};
}

class Server {
public:
    Server(FdRef control, Sources& sources) : control_(control), sources_(sources) {}

    int run() {
        ipc::InspectorReply ready;
        ready.mutable_inspector_ready();
        if (!send(ready)) return kFailed;
        for (;;) {
            // Without a child nothing was asked for a while: what the last questions took is not needed.
            if (children_.empty()) sandbox::forget_startup_code();
            wait();
            for (Child& child : children_) hear(child);
            if (!bury_ended() || !end_late()) return kFailed;
            if (const auto end = take_query()) return *end;
        }
    }

private:
    bool send(const ipc::InspectorReply& reply) {
        ipc::encode(reply, bytes_);
        return ipc::send(control_, bytes_, ipc::WhenFull::kWait).has_value();
    }

    bool send_failed(std::uint64_t query, ipc::Reason reason) {
        ipc::InspectorReply reply;
        reply.mutable_query_failed()->set_query(query);
        reply.mutable_query_failed()->set_reason(reason);
        return send(reply);
    }

    void wait() {
        std::vector<pollfd> wanted{readable(control_)};
        std::optional<Clock::time_point> due;
        for (const Child& child : children_) {
            wanted.push_back(readable(child.process));
            if (child.state == State::kBusy) wanted.push_back(readable(child.socket));
            if (child.state != State::kKilled) due = std::min(due.value_or(child.due), child.due);
        }
        const timespec left = to_timespec(due ? std::max(Clock::duration::zero(), *due - Clock::now())
                                              : Clock::duration::zero());
        ::ppoll(wanted.data(), wanted.size(), due ? &left : nullptr, nullptr);
    }

    // Whether it has answered.
    void hear(Child& child) {
        if (child.state != State::kBusy) return;
        const auto got = ipc::receive(child.socket, heard_);
        if (!got || !*got) return;  // its end is seen by bury_ended()
        child.state = State::kFree;
        child.due = child.born + kLife;
    }

    void kill(Child& child) {
        const auto now = Clock::now();
        const bool is_late = child.state == State::kBusy && now >= child.asked + kPatience;
        if (is_late) sources_.hung.add_looked_at(now);
        child.state = State::kKilled;
        ::syscall(SYS_pidfd_send_signal, child.process.get(), SIGKILL, nullptr, 0);
    }

    bool bury_ended() {
        for (std::size_t at = 0; at < children_.size();) {
            siginfo_t info{};
            Child& child = children_[at];
            if (::waitid(P_PIDFD, static_cast<id_t>(child.process.get()), &info, WEXITED | WNOHANG) != 0)
                return false;
            if (info.si_pid == 0) {
                ++at;
                continue;
            }
            hear(child);
            if (child.state == State::kBusy && !send_failed(child.query, ipc::CRASHED)) return false;
            children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(at));
        }
        return true;
    }

    bool end_late() {
        for (Child& child : children_) {
            if (child.state == State::kKilled || Clock::now() < child.due) continue;
            const bool is_late = child.state == State::kBusy;
            kill(child);
            if (is_late && !send_failed(child.query, ipc::LATE)) return false;
        }
        return true;
    }

    // The child that was born within its life and has nothing to do. The broker asks the next only when it does not want
    // the last any more: who is still at work is killed.
    Child* free_child() {
        for (Child& child : children_) {
            if (child.state == State::kBusy) {
                pollfd wanted = readable(child.socket);
                const timespec moment = to_timespec(kMoment);
                ::ppoll(&wanted, 1, &moment, nullptr);
                hear(child);
            }
            if (child.state == State::kFree && Clock::now() < child.due) return &child;
            if (child.state != State::kKilled) kill(child);
        }
        return nullptr;
    }

    // Nothing to go on with: the broker is gone, or we are a child that has ended.
    std::optional<int> take_query() {
        const auto got = ipc::receive(control_, frame_);
        if (!got) return got.error().code == Errc::kClosed ? kOver : kFailed;
        if (!*got) return std::nullopt;
        ipc::Request request;
        if (!ipc::decode(frame_.bytes, request, bytes_)) return kFailed;
        Child* child = free_child();
        if (child == nullptr && children_.size() >= kMostChildren)
            return after(send_failed(request.seq(), ipc::LATE));
        if (child == nullptr) {
            if (fork_child()) return answer_queries(control_, parent_, sources_);
            if (children_.empty() || children_.back().state != State::kFree)
                return after(send_failed(request.seq(), ipc::CRASHED));
            child = &children_.back();
        }
        child->state = State::kBusy;
        child->query = request.seq();
        child->asked = Clock::now();
        child->due = child->asked + milliseconds(kInspectMs);
        // A child that is gone is seen by bury_ended().
        (void)ipc::send(child->socket, frame_.bytes, ipc::WhenFull::kFail);
        return std::nullopt;
    }

    static std::optional<int> after(bool sent) { return sent ? std::nullopt : std::optional(kFailed); }

    // Whether we are the child. The new one is the last and free; there is none if the guest has no room for it.
    bool fork_child() {
        // Who cannot be killed still waits; another would wait as well.
        if (children_.empty()) sources_.hung.forget_old(Clock::now());
        auto sockets = ipc::socket_pair();
        if (!sockets) return false;
        // By the raw call: the filter lets through these flags and nothing else.
        int process = -1;
        const long pid = ::syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, nullptr, &process, nullptr, nullptr);
        if (pid < 0) return false;
        if (pid == 0) {
            sources_.hung.look_at(0);
            children_.clear();
            parent_ = std::move(sockets->second);
            return true;
        }
        children_.push_back(
            {.process = UniqueFd(process), .socket = std::move(sockets->first), .born = Clock::now()});
        return false;
    }

    FdRef control_;
    Sources& sources_;
    UniqueFd parent_;  // in a child
    std::vector<Child> children_;
    ipc::Frame frame_;
    ipc::Frame heard_;
    std::string bytes_;
};

}  // namespace

int serve(FdRef control, Sources& sources) {
    return Server(control, sources).run();
}

}  // namespace sallyport::inspector
