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
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/handover.hpp"
#include "ipc/nursery.pb.h"
#include "sandbox/lockdown.hpp"
#include "sandbox/syscalls.hpp"

namespace sallyport::worker {

namespace {

constexpr int kOver = 0;
constexpr int kFailed = 1;
constexpr int kLockdownFailed = 2;
constexpr int kNotStarted = 127;
constexpr std::size_t kGivenDescriptors = 3;
constexpr std::size_t kMostWorkers = 8;  // the broker has one or two at a time
// Higher than any descriptor's number here, lower than the limit on open files.
constexpr int kOutOfTheWay = 48;
constexpr std::string_view kWorkerTitle = "sallyport-worker";

struct Child {
    std::uint64_t id = 0;
    UniqueFd process;
};

// Keeps these three open over the execution.
bool keep_open(int fd) {
    return ::dup3(fd, kOutOfTheWay, O_CLOEXEC) >= 0 && ::dup3(kOutOfTheWay, fd, 0) >= 0;
}

// Executes this program again, in the same process with the same confinement. Returns only if that fails.
void execute_again() {
    for (const int fd : {kNurseryControl, kNurseryExecutable, kNurseryFilter})
        if (!keep_open(fd)) return;
    std::string name = "sallyport-nursery";
    const std::array<char*, 2> arguments{name.data(), nullptr};
    const std::array<char*, 1> environment{nullptr};
    ::syscall(SYS_execveat, kNurseryExecutable, "", arguments.data(), environment.data(), AT_EMPTY_PATH);
}

bool say_ready() {
    ipc::NurseryReply ready;
    ready.mutable_nursery_ready();
    std::string bytes;
    ipc::encode(ready, bytes);
    return ipc::send(FdRef(kNurseryControl), bytes, ipc::WhenFull::kWait).has_value();
}

class Nursery {
public:
    Nursery(char* title, const std::function<int()>& be_worker) : title_(title), be_worker_(be_worker) {}

    int run() {
        sandbox::forget_startup_code();
        for (;;) {
            if (is_worn_ && children_.empty()) execute_again();
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
        sandbox::wait_quietly(wanted, nullptr);
    }

    // The broker is gone, or we are a child that could not become a worker.
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

    // The raw call: the filter lets through these flags only.
    std::optional<int> start(std::uint64_t id) {
        if (given_.size() != kGivenDescriptors || children_.size() == kMostWorkers) return kFailed;
        int process = -1;
        const long pid = ::syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, nullptr, &process, nullptr, nullptr);
        if (pid == 0) return become_worker();
        given_.clear();
        // No more processes are allowed: the broker tries again later.
        if (pid < 0) return report(id, kNotStarted, 0) ? std::nullopt : std::optional(kFailed);
        children_.push_back({.id = id, .process = UniqueFd(process)});
        return std::nullopt;
    }

    // The child keeps nothing of the nursery and of other workers.
    int become_worker() {
        children_.clear();
        // The nursery's own descriptors have the numbers that these need; those that were received have higher ones.
        for (int at = 0; at < static_cast<int>(kGivenDescriptors); ++at)
            if (::dup3(given_[static_cast<std::size_t>(at)].get(), kWorkerChannel + at, O_CLOEXEC) < 0)
                return kNotStarted;
        given_.clear();
        const std::size_t room = std::strlen(title_);
        std::memset(title_, 0, room);
        kWorkerTitle.copy(title_, room);
        return be_worker_();
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
            is_worn_ = is_worn_ || !exited || info.si_status != 0;
            const std::uint64_t id = children_[at].id;
            children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(at));
            if (!report(id, exited ? info.si_status : -1, exited ? 0 : info.si_status)) return false;
        }
        return true;
    }

    FdRef control_{kNurseryControl};
    char* title_;
    const std::function<int()>& be_worker_;
    bool is_worn_ =
        false;  // a worker that has ended may have told its host something about our address layout
    std::vector<Child> children_;
    ipc::Frame frame_;
    std::vector<UniqueFd> given_;
    std::string bytes_;
};

}  // namespace

// Compiles the workers' filter before the lockdown, since the nursery's own filter does not allow what that takes.
int confine_nursery(uid_t uid, gid_t gid) {
    auto filter = sandbox::filter_of_workers();
    auto file = filter ? filter->to_file() : std::unexpected(filter.error());
    if (!file || (file->get() != kNurseryFilter && ::dup3(file->get(), kNurseryFilter, O_CLOEXEC) < 0))
        return kFailed;
    const std::array kept{FdRef(kNurseryControl), FdRef(kNurseryFilter)};
    if (!sandbox::lockdown_nursery(uid, gid, FdRef(kNurseryExecutable), kept)) return kLockdownFailed;
    if (say_ready()) execute_again();
    return kFailed;
}

int run_nursery(char* title, const std::function<int()>& be_worker) {
    return Nursery(title, be_worker).run();
}

}  // namespace sallyport::worker
