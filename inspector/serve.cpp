#include "inspector/serve.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "inspector/queries.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/inspector.pb.h"
#include "ipc/limits.hpp"

namespace sallyport::inspector {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kOver = 0;
constexpr int kFailed = 1;
// A child that waits for a dead device does not end when it is killed.
constexpr std::size_t kMostChildren = 8;

struct Child {
    std::uint64_t query = 0;
    UniqueFd process;
    Clock::time_point due;
    bool is_wanted = true;  // not killed yet
};

// In the child: the answer, in parts.
int answer_and_end(FdRef control, const Sources& sources, const ipc::Request& request) {
    ipc::Reply reply;
    if (!answer(sources, request, reply)) return kFailed;
    std::string all;
    ipc::encode(reply, all);
    std::string frame;
    ipc::InspectorReply said;
    const auto send = [&] {
        ipc::encode(said, frame);
        return ipc::send(control, frame, ipc::WhenFull::kWait).has_value() ? kOver : kFailed;
    };
    if (all.size() > kMaxInspected) {
        said.mutable_query_failed()->set_query(request.seq());
        said.mutable_query_failed()->set_reason(ipc::TOO_LARGE);
        return send();
    }
    ipc::ReplyPart& part = *said.mutable_reply_part();
    part.set_query(request.seq());
    for (std::size_t at = 0; !part.last(); at += kInspectedPart) {
        part.set_data(all.substr(at, kInspectedPart));
        part.set_last(at + kInspectedPart >= all.size());
        if (send() != kOver) return kFailed;
    }
    return kOver;
}

class Server {
public:
    Server(FdRef control, const Sources& sources) : control_(control), sources_(sources) {}

    int run() {
        ipc::InspectorReply ready;
        ready.mutable_inspector_ready();
        if (!send(ready)) return kFailed;
        for (;;) {
            wait();
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
        std::vector<pollfd> wanted{{.fd = control_.get(), .events = POLLIN, .revents = 0}};
        std::optional<Clock::time_point> due;
        for (const Child& child : children_) {
            wanted.push_back({.fd = child.process.get(), .events = POLLIN, .revents = 0});
            if (child.is_wanted) due = child.due;
        }
        const auto left = std::max(Clock::duration::zero(), due.value_or(Clock::time_point()) - Clock::now());
        const timespec until{.tv_sec = std::chrono::floor<std::chrono::seconds>(left).count(),
                             .tv_nsec = (left % std::chrono::seconds(1)).count()};
        ::ppoll(wanted.data(), wanted.size(), due ? &until : nullptr, nullptr);
    }

    static void kill(Child& child) {
        child.is_wanted = false;
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
            const bool has_failed =
                child.is_wanted && (info.si_code != CLD_EXITED || info.si_status != kOver);
            if (has_failed && !send_failed(child.query, ipc::CRASHED)) return false;
            children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(at));
        }
        return true;
    }

    bool end_late() {
        for (Child& child : children_) {
            if (!child.is_wanted || Clock::now() < child.due) continue;
            kill(child);
            if (!send_failed(child.query, ipc::LATE)) return false;
        }
        return true;
    }

    // Nothing to go on with: the broker is gone, or we are the child of a query.
    std::optional<int> take_query() {
        const auto got = ipc::receive(control_, frame_);
        if (!got) return got.error().code == Errc::kClosed ? kOver : kFailed;
        if (!*got) return std::nullopt;
        ipc::Request request;
        if (!frame_.fds.empty() || !ipc::decode(frame_.bytes, request, bytes_)) return kFailed;
        // The broker asks the next only when it does not want the last any more.
        for (Child& child : children_)
            if (child.is_wanted) kill(child);
        if (children_.size() >= kMostChildren)
            return send_failed(request.seq(), ipc::LATE) ? std::nullopt : std::optional(kFailed);
        // By the raw call: the filter lets through these flags and nothing else.
        int process = -1;
        const long pid = ::syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, nullptr, &process, nullptr, nullptr);
        if (pid == 0) return answer_and_end(control_, sources_, request);
        if (pid < 0) return send_failed(request.seq(), ipc::CRASHED) ? std::nullopt : std::optional(kFailed);
        children_.push_back({.query = request.seq(),
                             .process = UniqueFd(process),
                             .due = Clock::now() + std::chrono::milliseconds(kInspectMs)});
        return std::nullopt;
    }

    FdRef control_;
    const Sources& sources_;
    std::vector<Child> children_;
    ipc::Frame frame_;
    std::string bytes_;
};

}  // namespace

int serve(FdRef control, const Sources& sources) {
    return Server(control, sources).run();
}

}  // namespace sallyport::inspector
