// A setter: one order, carried out.
// Runs in:  setter
// Input:    one task of the launcher, on descriptor 3
// Relies on: sandbox/lockdown.cpp
#include <poll.h>
#include <sys/prctl.h>

#include <csignal>

#include "broker/setters/setters.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::setters {

namespace {

using ipc::SetResult;

constexpr int kSocket = 3;

bool receive(ipc::SetTask& task) {
    ipc::Frame frame;
    return ipc::hear(FdRef(kSocket), task, frame).value_or(false);
}

// Whether the launcher was there after this process had been tied to it.
bool is_tied_to_launcher() {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return false;
    pollfd launcher{.fd = kSocket, .events = 0, .revents = 0};
    const timespec at_once{};
    return ::ppoll(&launcher, 1, &at_once, nullptr) == 0;
}

Status say(const SetResult& result) {
    return ipc::say(FdRef(kSocket), result, ipc::WhenFull::kWait);
}

Status carry_out(const ipc::SetTask& task, const HardwareClock& hardware) {
    const ipc::SetOrder& order = task.order();
    if (order.has_time()) return say(set_clock(task, hardware));
    for (const auto& one : order.vcpus().item()) {
        const SetResult result = set_processor(one, task.by().vcpus());
        TRY(say(result));
        if (result.how() != SetResult::DONE) return {};
    }
    for (const auto& one : order.blocks().item()) TRY(say(set_block(one)));
    return {};
}

}  // namespace

ipc::SetResult result_of(ipc::SetResult::How how, int sys_errno) {
    ipc::SetResult result;
    result.set_how(how);
    result.set_sys_errno(sys_errno);
    return result;
}

int run() {
    ipc::silence_protobuf();
    ipc::SetTask task;
    if (!receive(task) || !is_tied_to_launcher()) return 1;
    const bool is_clock = task.order().has_time();
    const HardwareClock hardware = is_clock ? open_hardware_clock() : HardwareClock();
    const sandbox::SetterNeeds needs{.sets_clock = is_clock,
                                     .devices = is_clock                   ? nullptr
                                                : task.order().has_vcpus() ? kProcessors
                                                                           : kMemory};
    if (const auto locked = sandbox::lockdown_setter(needs); !locked) return 1;
    return carry_out(task, hardware) ? 0 : 1;
}

}  // namespace sallyport::setters
