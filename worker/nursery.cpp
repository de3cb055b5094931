#include "worker/nursery.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/handover.hpp"
#include "ipc/nursery.pb.h"
#include "sandbox/lockdown.hpp"

namespace sallyport::worker {

namespace {

constexpr int kOver = 0;
constexpr int kFailed = 1;
constexpr int kNotStarted = 127;
constexpr std::size_t kGivenDescriptors = 3;
constexpr std::size_t kMostWorkers = 8;  // the broker has one or two at a time
// Above every number that a descriptor can have here, below the limit on open files.
constexpr int kOutOfTheWay = 48;

struct Child {
    std::uint64_t id = 0;
    UniqueFd process;
};

// In the child: takes the descriptors as 3, 4, 5 and becomes a worker. All others are closed by the kernel
// then.
int become_worker(FdRef executable, const std::vector<UniqueFd>& given) {
    // First out of the way, then into place: a descriptor may stand where another belongs.
    const int program = kOutOfTheWay + static_cast<int>(kGivenDescriptors);
    if (::dup3(executable.get(), program, O_CLOEXEC) < 0) return kNotStarted;
    for (int at = 0; at < static_cast<int>(kGivenDescriptors); ++at)
        if (::dup3(given[static_cast<std::size_t>(at)].get(), kOutOfTheWay + at, O_CLOEXEC) < 0)
            return kNotStarted;
    for (int at = 0; at < static_cast<int>(kGivenDescriptors); ++at)
        if (::dup3(kOutOfTheWay + at, kWorkerChannel + at, 0) < 0) return kNotStarted;
    std::string name = "sallyport-worker";
    const std::array<char*, 2> arguments{name.data(), nullptr};
    const std::array<char*, 1> environment{nullptr};
    ::syscall(SYS_execveat, program, "", arguments.data(), environment.data(), AT_EMPTY_PATH);
    return kNotStarted;
}

class Nursery {
public:
    Nursery(FdRef control, FdRef executable) : control_(control), executable_(executable) {}

    int run() {
        ipc::NurseryReply ready;
        ready.mutable_nursery_ready();
        if (!send(ready)) return kFailed;
        for (;;) {
            // Only the start or the end of a worker wakes it: what they take is not needed in between.
            sandbox::forget_startup_code();
            wait();
            if (const auto end = take_requests()) return *end;
            if (!report_ended()) return kFailed;
        }
    }

private:
    bool send(const ipc::NurseryReply& reply) {
        ipc::encode(reply, bytes_);
        return ipc::send(control_, bytes_, ipc::WhenFull::kWait).has_value();
    }

    void wait() {
        std::vector<pollfd> wanted{{.fd = control_.get(), .events = POLLIN, .revents = 0}};
        for (const Child& child : children_)
            wanted.push_back({.fd = child.process.get(), .events = POLLIN, .revents = 0});
        ::ppoll(wanted.data(), wanted.size(), nullptr, nullptr);
    }

    // Nothing to go on with: the broker is gone, or we are a child that could not become a worker.
    std::optional<int> take_requests() {
        for (;;) {
            const auto got = ipc::take(control_, frame_, given_);
            if (!got) return got.error().code == Errc::kClosed ? kOver : kFailed;
            if (!*got) return std::nullopt;
            ipc::NurseryRequest request;
            if (!ipc::decode(frame_.bytes, request, bytes_)) return kFailed;
            switch (request.op_case()) {
                case ipc::NurseryRequest::kStartWorker:
                    if (const auto end = start(request.start_worker().id())) return end;
                    break;
                case ipc::NurseryRequest::kKillWorker:
                    kill(request.kill_worker().id());
                    break;
                default:
                    return kFailed;
            }
        }
    }

    // By the raw call: the filter lets through these flags and nothing else.
    std::optional<int> start(std::uint64_t id) {
        if (given_.size() != kGivenDescriptors || children_.size() == kMostWorkers) return kFailed;
        int process = -1;
        const long pid = ::syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, nullptr, &process, nullptr, nullptr);
        if (pid == 0) return become_worker(executable_, given_);
        given_.clear();
        // No room for a process: the broker tries again later.
        if (pid < 0) return report(id, kNotStarted, 0) ? std::nullopt : std::optional(kFailed);
        children_.push_back({.id = id, .process = UniqueFd(process)});
        return std::nullopt;
    }

    void kill(std::uint64_t id) {
        for (const Child& child : children_)
            if (child.id == id) ::syscall(SYS_pidfd_send_signal, child.process.get(), SIGKILL, nullptr, 0);
    }

    bool report(std::uint64_t id, int exit_status, int signal) {
        ipc::NurseryReply reply;
        ipc::WorkerEnded& ended = *reply.mutable_worker_ended();
        ended.set_id(id);
        ended.set_exit_status(exit_status);
        ended.set_signal(signal);
        return send(reply);
    }

    bool report_ended() {
        for (std::size_t at = 0; at < children_.size();) {
            siginfo_t info{};
            const auto process = static_cast<id_t>(children_[at].process.get());
            if (::waitid(P_PIDFD, process, &info, WEXITED | WNOHANG) != 0) return false;
            if (info.si_pid == 0) {
                ++at;
                continue;
            }
            const bool exited = info.si_code == CLD_EXITED;
            const std::uint64_t id = children_[at].id;
            children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(at));
            if (!report(id, exited ? info.si_status : -1, exited ? 0 : info.si_status)) return false;
        }
        return true;
    }

    FdRef control_;
    FdRef executable_;
    std::vector<Child> children_;
    ipc::Frame frame_;
    std::vector<UniqueFd> given_;
    std::string bytes_;
};

}  // namespace

int run_nursery(FdRef control, FdRef executable) {
    return Nursery(control, executable).run();
}

}  // namespace sallyport::worker
