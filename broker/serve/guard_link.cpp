// Runs in:  broker
#include "broker/serve/guard_link.hpp"

#include "base/clock.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

Status tell_guard(FdRef guard, const ipc::GuardRequest& request) {
    return ipc::say(guard, request, ipc::WhenFull::kFail);
}

Result<std::optional<ipc::GuardReply>> receive_from_guard(FdRef guard) {
    ipc::Frame frame;
    if (!TRY(ipc::receive(guard, frame))) return std::optional<ipc::GuardReply>();
    ipc::GuardReply reply;
    std::string scratch;
    if (const auto decoded = ipc::decode(frame.bytes, reply, scratch); !decoded)
        return failure(Errc::kInvalid, "guard: unexpected frame");
    return std::optional(std::move(reply));
}

void order_freeze(Freezing& freezing) {
    freezing.freeze->request.due_ns = boottime_ns() + kGuardTimeoutNs;
    // THREAT: a host asks for a thaw while hooks run or the guard lists. A freeze ordered after that thaw would be one that
    // nobody here knows of. The guard's answer to the thaw ends the request.
    if (freezing.thaw_is_ordered) return;
    const Freeze& freeze = *freezing.freeze;
    ipc::GuardRequest order;
    if (freeze.by_list) {
        order.mutable_list()->set_row(freeze.row);
    } else {
        order.mutable_freeze()->set_row(freeze.row);
        order.mutable_freeze()->set_freeze(freezing.number);
    }
    (void)tell_guard(freezing.guard, order);
}

void order_trim(Freezing& freezing, std::uint32_t row, std::uint64_t minimum) {
    ipc::GuardRequest order;
    freezing.trim->request.due_ns = boottime_ns() + kGuardTimeoutNs;
    order.mutable_trim()->set_row(row);
    order.mutable_trim()->set_minimum(minimum);
    (void)tell_guard(freezing.guard, order);
}

void order_thaw(Freezing& freezing) {
    ipc::GuardRequest order;
    freezing.thaw_is_ordered = true;
    if (freezing.thaw) freezing.thaw->request.due_ns = boottime_ns() + kGuardTimeoutNs;
    order.mutable_thaw()->set_freeze(freezing.number);
    (void)tell_guard(freezing.guard, order);
}

}  // namespace sallyport::broker
