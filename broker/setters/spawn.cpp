// The launcher's end of the setters: orders are judged once more, setters started, heard and ended.
// Runs in:  launcher; the child's part until it is executed
// Input:    orders of a broker that may have been taken over; results of setters
// Relies on: policy/set.cpp
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "base/clock.hpp"
#include "broker/setters/setters.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"
#include "policy/set.hpp"

namespace sallyport::setters {

namespace {

using ipc::SetDone;
using ipc::SetOrder;
using ipc::SetResult;
using policy::SetMiss;

std::unexpected<Error> unfit(const char* what) {
    return failure(Errc::kInvalid, what);
}

int items_of(const SetOrder& order) {
    if (order.has_vcpus()) return order.vcpus().item_size();
    return order.has_blocks() ? order.blocks().item_size() : 1;
}

bool is_over(const SetOrder& order, const SetDone& done) {
    const int results = done.result_size();
    const bool has_failed =
        order.has_vcpus() && results > 0 && done.result(results - 1).how() != SetResult::DONE;
    return has_failed || results == items_of(order);
}

// It gets its socket, nothing else of ours, and by executing as root the capabilities of which the setter keeps one at most.
void become(FdRef executable, FdRef socket) {
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int standard : {0, 1, 2})
        if (::dup2(null.get(), standard) < 0) return;
    const UniqueFd kept(::fcntl(executable.get(), F_DUPFD_CLOEXEC, 4));
    if (::dup2(socket.get(), 3) < 0 || ::close_range(4, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return;
    std::string name = "sallyport-setter";
    std::string word(kWord);
    const std::array<char*, 3> arguments{name.data(), word.data(), nullptr};
    const std::array<char*, 1> environment{nullptr};
    ::syscall(SYS_execveat, kept.get(), "", arguments.data(), environment.data(), AT_EMPTY_PATH);
}

}  // namespace

Setters::Setters(const ipc::LauncherTable& table, const ExpiryClock& clock)
    : table_(table),
      clock_(clock),
      own_(table.sets().empty() ? -1 : ::open("/proc/self/exe", O_PATH | O_CLOEXEC)) {}

Result<std::optional<SetDone>> Setters::hear(const SetOrder& order) {
    const bool is_time =
        !order.time().has_to_ns() || (order.time().to_ns() >= 0 && order.time().to_ns() < kSettableEndNs);
    if (order.number() <= last_ || !is_time || static_cast<std::size_t>(items_of(order)) > kMaxSetItems)
        return unfit("a number again, or numbers that are none");
    last_ = order.number();
    const policy::Clocks now{.latest = clock_.now().latest, .wall_ns = wall_ns()};
    const auto decision = policy::decide_set(table_.sets(), order, now);
    if (decision.miss == SetMiss::kBounds) return unfit("what no rule lets be set");
    SetDone done;
    done.set_number(order.number());
    ipc::SetTask task;
    if (decision.at < 0) {
        done.set_end(SetDone::EXPIRED);
    } else if (items_of(order) == 0) {
        done.set_end(SetDone::WHOLE);
    } else if (is_held_up(order)) {
        done.set_end(SetDone::BUSY);
    } else {
        *task.mutable_order() = order;
        *task.mutable_by() = table_.sets(decision.at);
        task.set_latest(now.latest);
        const auto started = start(task);
        if (started) return std::optional<SetDone>();
        done.set_end(SetDone::FAILED);
        done.set_sys_errno(started.error().sys_errno);
    }
    return std::optional(std::move(done));
}

// THREAT: two setters that count the processors at the same moment both find one to spare. So one at a time counts them: also one
// that was late, and hangs in the kernel, may still take its processor away.
bool Setters::is_held_up(const SetOrder& order) const {
    const auto counts = [](const Setter& one) { return one.order.has_vcpus() && !one.is_done; };
    return setters_.size() >= kMaxSetters || (order.has_vcpus() && std::ranges::any_of(setters_, counts));
}

Status Setters::start(const ipc::SetTask& task) {
    auto [ours, theirs] = TRY(ipc::socket_pair());
    TRY(ipc::say(ours, task, ipc::WhenFull::kFail));
    const pid_t pid = ::fork();
    if (pid < 0) return system_error("fork");
    if (pid == 0) {
        become(own_, theirs);
        ::_exit(127);
    }
    UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    setters_.push_back({.order = task.order(),
                        .done = {},
                        .socket = std::move(ours),
                        .process = std::move(process),
                        .due_ns = boottime_ns() + std::int64_t{table_.set_deadline_ms()} * kNsPerMs});
    setters_.back().done.set_number(task.order().number());
    return {};
}

int Setters::add_to(std::vector<pollfd>& wanted) const {
    std::int64_t left_ms = -1;
    for (const Setter& one : setters_) {
        wanted.push_back({.fd = one.socket.get(), .events = POLLIN, .revents = 0});
        if (one.is_told) continue;
        const std::int64_t left = std::max<std::int64_t>(0, (one.due_ns - boottime_ns()) / kNsPerMs + 1);
        left_ms = left_ms < 0 ? left : std::min(left_ms, left);
    }
    return static_cast<int>(left_ms);
}

// False once nothing more can come: it has ended, or says what no setter of ours says.
bool Setters::take_results(Setter& setter) {
    ipc::Frame frame;
    SetResult result;
    std::string scratch;
    for (;;) {
        const auto got = ipc::receive(setter.socket, frame);
        if (!got) return false;
        if (!*got) return true;
        if (setter.is_told || is_over(setter.order, setter.done)) continue;
        if (!ipc::decode(frame.bytes, result, scratch)) return false;
        *setter.done.add_result() = result;
    }
}

// INVARIANT: an order's end is told once. A setter that hangs in the kernel is counted until it has ended, and nobody waits for it.
std::vector<SetDone> Setters::look(const std::vector<pollfd>& ready) {
    std::vector<SetDone> ended;
    for (Setter& one : setters_) {
        const auto at = std::ranges::find(ready, one.socket.get(), &pollfd::fd);
        const bool is_there = at == ready.end() || at->revents == 0 || take_results(one);
        const bool is_late = boottime_ns() >= one.due_ns;
        if (!one.is_told && (is_over(one.order, one.done) || !is_there || is_late)) {
            one.is_told = true;
            one.is_done = is_over(one.order, one.done);
            one.done.set_end(one.is_done ? SetDone::WHOLE : is_there ? SetDone::LATE : SetDone::LOST);
            ended.push_back(std::move(one.done));
            // Also one that is done has nothing more to do.
            ::syscall(SYS_pidfd_send_signal, one.process.get(), SIGKILL, nullptr, 0);
        }
        if (!is_there) one.socket.reset();
    }
    std::erase_if(setters_, [](const Setter& one) { return !one.socket.is_open(); });
    return ended;
}

}  // namespace sallyport::setters
