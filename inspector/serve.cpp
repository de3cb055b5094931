#include "inspector/serve.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inspector/child.hpp"
#include "inspector/text.hpp"
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
// So long a new one waits for the end of those that were killed, when there are too many.
constexpr milliseconds kMoment(100);
// A file system that takes longer has not answered, also for a host that asks for something else by then.
constexpr milliseconds kPatience(500);

enum class State : std::uint8_t { kBusy, kFree, kKilled };

struct Child {
    UniqueFd process;
    UniqueFd socket;
    Clock::time_point born;
    State state = State::kFree;
    std::uint64_t query = 0;
    std::size_t queries = 0;
    std::size_t said = 0;  // bytes of its reply
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
    Server(UniqueFd control, const Facts& facts, const sandbox::Filter& filter)
        : control_(std::move(control)), facts_(facts), filter_(filter) {}

    int run() {
        ipc::InspectorReply ready;
        ready.mutable_inspector_ready();
        if (!send(ready)) return kFailed;
        for (;;) {
            wait();
            for (Child& child : children_)
                if (!hear(child)) return kFailed;
            if (!bury_ended() || !end_late()) return kFailed;
            if (is_asked_again_)
                if (const auto end = ask_another()) return *end;
            if (const auto end = take_query()) return *end;
        }
    }

private:
    bool send(const ipc::InspectorReply& reply) {
        ipc::encode(reply, bytes_);
        return ipc::send(control_, bytes_, ipc::WhenFull::kWait).has_value();
    }

    bool send_failed(std::uint64_t query, ipc::Reason reason, int sys_errno = 0) {
        ipc::InspectorReply reply;
        reply.mutable_query_failed()->set_query(query);
        reply.mutable_query_failed()->set_reason(reason);
        reply.mutable_query_failed()->set_sys_errno(sys_errno);
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
        sandbox::wait_quietly(wanted, due ? &left : nullptr);
    }

    // Passes on what a child says. False if the broker is gone.
    bool hear(Child& child) {
        while (child.state != State::kKilled) {
            const auto got = ipc::receive(child.socket, heard_);
            if (got && !*got) return true;
            if (!got || child.state == State::kFree) return give_up(child);
            if (!pass_on(child, heard_.bytes)) return false;
        }
        return true;
    }

    // The next frame of the reply to its query.
    bool pass_on(Child& child, std::string_view frame) {
        const auto word = static_cast<Word>(frame.front());
        const std::string_view part = frame.substr(1);
        child.said += part.size();
        const bool is_whole = word == Word::kMore ? part.size() == kInspectedPart
                                                  : word == Word::kLast && part.size() <= kInspectedPart;
        if (word == Word::kTooLarge || child.said > kMaxInspected) return fail(child, ipc::TOO_LARGE);
        if (word == Word::kOutdated && child.said == 0 && child.queries > 1) return pass_over(child);
        if (word == Word::kNoBlocks) return fail(child, ipc::NO_BLOCKS);
        if (word == Word::kSystem)
            if (const auto sys_errno = to_number<int>(part)) return fail(child, ipc::SYSTEM, *sys_errno);
        if (!is_whole) return give_up(child);
        reply_.mutable_reply_part()->set_query(child.query);
        reply_.mutable_reply_part()->set_data(part.data(), part.size());
        reply_.mutable_reply_part()->set_last(word == Word::kLast);
        if (word == Word::kLast) set_free(child);
        return send(reply_);
    }

    // The child has no reply, and says so.
    bool fail(Child& child, ipc::Reason reason, int sys_errno = 0) {
        set_free(child);
        return send_failed(child.query, reason, sys_errno);
    }

    // What the query is about was replaced since it was born. One that was born for its query has no excuse.
    bool pass_over(Child& child) {
        is_asked_again_ = true;
        end(child);
        return true;
    }

    static void set_free(Child& child) {
        child.state = State::kFree;
        child.due = child.born + kLife;
    }

    // It said what no honest one says, or nothing any more.
    bool give_up(Child& child) {
        const bool owes = child.state == State::kBusy;
        end(child);
        return !owes || send_failed(child.query, ipc::CRASHED);
    }

    // It is too late, or not needed any more.
    void kill(Child& child) {
        const auto now = Clock::now();
        const bool is_late = child.state == State::kBusy && now >= child.asked + kPatience;
        if (is_late) facts_.sources.hung.add_looked_at(now);
        end(child);
    }

    static void end(Child& child) {
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
            if (!hear(child) || !give_up(child)) return false;
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
            if (child.state == State::kFree && Clock::now() < child.due) return &child;
            if (child.state != State::kKilled) kill(child);
        }
        return nullptr;
    }

    // Whether there is room for a new child, or is soon: one that was killed may not have ended yet.
    bool has_room() {
        if (children_.size() < kMostChildren) return true;
        std::vector<pollfd> ends;
        for (const Child& child : children_) ends.push_back(readable(child.process));
        const timespec moment = to_timespec(kMoment);
        ::ppoll(ends.data(), ends.size(), &moment, nullptr);
        return bury_ended() && children_.size() < kMostChildren;
    }

    // Nothing to go on with: the broker is gone, or we are a child that has ended.
    std::optional<int> take_query() {
        const auto got = ipc::receive(control_, frame_);
        if (!got) return got.error().code == Errc::kClosed ? kOver : kFailed;
        if (!*got) return std::nullopt;
        ipc::InspectorRequest request;
        if (!ipc::decode(frame_.bytes, request, bytes_) || !request.has_query()) return kFailed;
        query_ = frame_.bytes;
        number_ = request.query().number();
        asked_ = Clock::now();
        is_asked_again_ = false;
        Child* const child = free_child();
        if (child == nullptr) return ask_another();
        ask(*child);
        return std::nullopt;
    }

    // The same of a new child.
    std::optional<int> ask_another() {
        is_asked_again_ = false;
        if (!has_room()) return after(send_failed(number_, ipc::LATE));
        if (fork_child()) return become_child() ? answer_queries(parent_, facts_) : kFailed;
        if (children_.empty() || children_.back().state != State::kFree)
            return after(send_failed(number_, ipc::CRASHED));
        ask(children_.back());
        return std::nullopt;
    }

    void ask(Child& child) {
        child.state = State::kBusy;
        child.query = number_;
        child.queries += 1;
        child.said = 0;
        child.asked = asked_;
        child.due = asked_ + milliseconds(kInspectMs);
        // A child that is gone is seen by bury_ended().
        (void)ipc::send(child.socket, query_, ipc::WhenFull::kFail);
    }

    static std::optional<int> after(bool sent) { return sent ? std::nullopt : std::optional(kFailed); }

    // Whether we are the child. The new one is the last and free; there is none if the guest has no room for it.
    bool fork_child() {
        // Who cannot be killed still waits; another would wait as well.
        if (children_.empty()) facts_.sources.hung.forget_old(Clock::now());
        auto sockets = ipc::socket_pair();
        if (!sockets) return false;
        // By the raw call: the filter lets through these flags and nothing else.
        int process = -1;
        const long pid = ::syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, nullptr, &process, nullptr, nullptr);
        if (pid < 0) return false;
        if (pid == 0) {
            parent_ = std::move(sockets->second);
            return true;
        }
        children_.push_back(
            {.process = UniqueFd(process), .socket = std::move(sockets->first), .born = Clock::now()});
        return false;
    }

    // Nothing of the parent and of other children is left to it. What has to be opened wherever it lies is opened, and the
    // way there closed, before anything is read that a user of the guest chose.
    bool become_child() {
        facts_.sources.hung.look_at(0);
        children_.clear();
        control_.reset();
        open_replaced(facts_.commands, facts_.sources);
        return sandbox::lockdown_inspector_child(needs_of(facts_.commands), filter_).has_value();
    }

    UniqueFd control_;
    const Facts& facts_;
    const sandbox::Filter& filter_;  // of children
    UniqueFd parent_;                // in a child
    std::vector<Child> children_;
    ipc::Frame frame_;
    std::string query_;  // the last, as it came
    std::uint64_t number_ = 0;
    Clock::time_point asked_;
    bool is_asked_again_ = false;  // a child that lives longer than what it has read has passed it over
    ipc::Frame heard_;
    ipc::InspectorReply reply_;  // used again
    std::string bytes_;
};

}  // namespace

int serve(UniqueFd control, const Facts& facts, const sandbox::Filter& filter) {
    return Server(std::move(control), facts, filter).run();
}

}  // namespace sallyport::inspector
