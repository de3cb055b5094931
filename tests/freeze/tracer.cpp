#include "tests/freeze/tracer.hpp"

#include <linux/fs.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <map>
#include <stdexcept>

#include "tests/support/process.hpp"

namespace sallyport::test {

namespace {

constexpr long kOptions =
    PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORK;

template <typename... More>
long trace(int request, pid_t process, More... more) {
    return ::syscall(SYS_ptrace, request, process, more...);
}

// Whether the stop is a step: at the beginning of a call, or at its end.
bool is_step(pid_t process, std::map<pid_t, bool>& in_ioctl) {
    ptrace_syscall_info info{};
    if (trace(PTRACE_GET_SYSCALL_INFO, process, sizeof info, &info) <= 0) return false;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) return std::exchange(in_ioctl[process], false);
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return false;
    const auto call = static_cast<long>(info.entry.nr);
    const bool freezes =
        call == SYS_ioctl && (info.entry.args[1] == FIFREEZE || info.entry.args[1] == FITHAW);
    in_ioctl[process] = freezes;
    return freezes || call == SYS_clone || call == SYS_capset || call == SYS_syncfs || call == SYS_sendmsg;
}

}  // namespace

Tracer::Tracer(const Order& order) {
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap");
    shared_ = {std::construct_at(static_cast<Shared*>(memory)),
               [](Shared* shared) { ::munmap(shared, sizeof(Shared)); }};
    child_ = std::make_unique<Child>([&order, shared = shared_] { return follow(order, *shared); });
}

bool Tracer::is_ready() const {
    return eventually([this] { return shared_->is_ready || child_->has_ended(); }) && !child_->has_ended();
}

std::vector<pid_t> Tracer::family() const {
    std::vector<pid_t> all;
    for (std::size_t at = 0; at < shared_->count; ++at) all.push_back(shared_->children[at]);
    return all;
}

int Tracer::follow(const Order& order, Shared& shared) {
    if (trace(PTRACE_SEIZE, order.guard, 0, kOptions) != 0 || trace(PTRACE_INTERRUPT, order.guard, 0, 0) != 0)
        return 2;
    std::map<pid_t, bool> in_ioctl;
    int steps = 0;
    shared.planner = -1;
    for (;;) {
        int status = 0;
        const pid_t process = ::waitpid(-1, &status, __WALL);
        if (process < 0) return 1;
        if (!WIFSTOPPED(status)) {
            if (process == shared.planner) shared.planner = 0;
            continue;
        }
        long forwarded = 0;
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            if (is_step(process, in_ioctl) && steps++ == order.step) break;
        } else if (status >> 16 == PTRACE_EVENT_FORK) {
            unsigned long child = 0;
            trace(PTRACE_GETEVENTMSG, process, 0, &child);
            if (process == order.guard && shared.planner < 0)
                shared.planner = static_cast<pid_t>(child);
            else if (process == order.guard && shared.count < shared.children.size())
                shared.children[shared.count++] = static_cast<pid_t>(child);
        } else if (status >> 16 == 0) {
            forwarded = WSTOPSIG(status);
        }
        trace(PTRACE_SYSCALL, process, 0, forwarded);
        shared.is_ready = true;
    }
    for (const Victim victim : order.victims) {
        const auto number = static_cast<std::size_t>(victim);
        pid_t process = order.guard;
        if (number < order.known.size()) process = order.known[number];
        if (victim == Victim::kFreezer) process = shared.children[0];
        if (victim == Victim::kSpare) process = shared.children[1];
        if (victim == Victim::kPlanner) process = shared.planner;
        if (process > 0 && send_signal(process, SIGKILL) && victim != Victim::kWorker) shared.is_vital = true;
    }
    return 0;  // whoever is still followed goes on with our end
}

}  // namespace sallyport::test
