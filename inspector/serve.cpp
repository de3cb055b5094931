#include "inspector/serve.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "inspector/needs.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/handover.hpp"
#include "ipc/inspector.pb.h"
#include "sandbox/lockdown.hpp"

namespace sallyport::inspector {

namespace {

constexpr int kOver = 0;
constexpr int kFailed = 1;
// A child that waits for a dead device does not end when it is killed.
constexpr std::size_t kMostChildren = 8;
// How long a new child waits for the end of killed ones, when there are too many.
constexpr timespec kMoment{.tv_sec = 0, .tv_nsec = 100'000'000};

struct Child {
    std::uint64_t number = 0;
    UniqueFd process;
};

class Server {
public:
    Server(UniqueFd control, const Facts& facts, const sandbox::Filter& filter)
        : control_(std::move(control)), facts_(facts), filter_(filter) {}

    int run() {
        if (!say_ready()) return kFailed;
        for (;;) {
            std::vector<pollfd> wanted = ends_of_children();
            wanted.push_back({.fd = control_.get(), .events = POLLIN, .revents = 0});
            sandbox::wait_quietly(wanted, nullptr);
            if (!bury_ended()) return kFailed;
            if (const auto end = take_order()) return *end;
        }
    }

private:
    bool say_ready() {
        ipc::InspectorReply ready;
        ready.mutable_inspector_ready();
        ipc::encode(ready, bytes_);
        return ipc::send(control_, bytes_, ipc::WhenFull::kWait).has_value();
    }

    [[nodiscard]] std::vector<pollfd> ends_of_children() const {
        std::vector<pollfd> ends;
        for (const Child& child : children_)
            ends.push_back({.fd = child.process.get(), .events = POLLIN, .revents = 0});
        return ends;
    }

    bool bury_ended() {
        for (std::size_t at = 0; at < children_.size();) {
            siginfo_t info{};
            const auto process = static_cast<id_t>(children_[at].process.get());
            if (::waitid(P_PIDFD, process, &info, WEXITED | WNOHANG) != 0) return false;
            if (info.si_pid == 0)
                ++at;
            else
                children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(at));
        }
        return true;
    }

    // Returns the exit status when the broker is gone, or when this process is a child that has ended.
    std::optional<int> take_order() {
        const auto got = ipc::take(control_, frame_, given_);
        if (!got) return got.error().code == Errc::kClosed ? kOver : kFailed;
        if (!*got) return std::nullopt;
        ipc::InspectorRequest order;
        if (!ipc::decode(frame_.bytes, order, bytes_)) return kFailed;
        if (order.has_begin_child() && given_.size() == 1) return begin(order.begin_child().number());
        if (!order.has_end_child() || !given_.empty()) return kFailed;
        if (order.end_child().is_late()) facts_.sources.hung.add_looked_at(HungDevices::Clock::now());
        for (const Child& child : children_)
            if (child.number == order.end_child().number()) kill(child);
        return std::nullopt;
    }

    static void kill(const Child& child) {
        ::syscall(SYS_pidfd_send_signal, child.process.get(), SIGKILL, nullptr, 0);
    }

    // If no child can be forked, its socket closes, which the broker sees.
    std::optional<int> begin(std::uint64_t number) {
        const UniqueFd socket = std::move(given_.front());
        given_.clear();
        for (const Child& child : children_) kill(child);
        if (!has_room()) {
            const char word = static_cast<char>(Word::kNoRoom);
            (void)ipc::send(socket, {&word, 1}, ipc::WhenFull::kFail);
            return std::nullopt;
        }
        // A child that cannot be killed still waits for a device, and another would wait for it, too.
        if (children_.empty()) facts_.sources.hung.forget_old(HungDevices::Clock::now());
        // The raw call: the filter lets through these flags only.
        int process = -1;
        const long pid = ::syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, nullptr, &process, nullptr, nullptr);
        if (pid == 0) return become_child() ? answer_queries(socket, facts_) : kFailed;
        if (pid > 0) children_.push_back({.number = number, .process = UniqueFd(process)});
        return std::nullopt;
    }

    // Whether there is room for a new child, now or in a moment: a killed one may not have ended yet.
    bool has_room() {
        if (children_.size() < kMostChildren) return true;
        std::vector<pollfd> ends = ends_of_children();
        ::ppoll(ends.data(), ends.size(), &kMoment, nullptr);
        return bury_ended() && children_.size() < kMostChildren;
    }

    // The child keeps nothing of the parent and of other children. It opens what may lie anywhere, and then closes the way there, before it
    // reads anything that a user of the guest chose.
    bool become_child() {
        facts_.sources.hung.look_at(0);
        children_.clear();
        control_.reset();
        open_replaced(facts_.commands, facts_.sources);
        return sandbox::lockdown_inspector_child(needs_of(facts_.commands), filter_).has_value();
    }

    UniqueFd control_;
    const Facts& facts_;
    const sandbox::Filter& filter_;  // for children
    std::vector<Child> children_;
    ipc::Frame frame_;
    std::vector<UniqueFd> given_;
    std::string bytes_;
};

}  // namespace

int serve(UniqueFd control, const Facts& facts, const sandbox::Filter& filter) {
    return Server(std::move(control), facts, filter).run();
}

}  // namespace sallyport::inspector
