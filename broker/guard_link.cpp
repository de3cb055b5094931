// Frames to and from the guard.
// Runs in:  broker
// Input:    frames of the guard, which never holds a byte of the host; what it says is checked all the same
#include "broker/guard_link.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "broker/workers.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

constexpr int kGuardStartMs = 10'000;

Result<ipc::GuardReply> await(FdRef guard) {
    TRY(wait_readable(guard, kGuardStartMs));
    auto reply = TRY(receive_from_guard(guard));
    if (!reply) return failure(Errc::kProof, "the guard did not say that it is ready");
    return *std::move(reply);
}

}  // namespace

Status tell_guard(FdRef guard, const ipc::GuardRequest& request) {
    std::string frame;
    ipc::encode(request, frame);
    return ipc::send(guard, frame, ipc::WhenFull::kFail);
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

Status set_up_guard(Freezing& freezing, const policy::Policy& policy, bool is_marked, FdRef state_directory) {
    ipc::GuardRequest request;
    std::uint32_t row = 0;
    for (const policy::Rule& rule : policy.rules) {
        freezing.rows.push_back(row);
        if (!rule.freeze) continue;
        if (row++ == kMaxFreezeRows) return failure(Errc::kLimit, "more than 64 rules with 'freeze'");
        *request.mutable_add_row()->mutable_selection() = *rule.freeze;
        TRY(tell_guard(freezing.guard, request));
    }
    struct statx info{};
    if (::statx(state_directory.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &info) != 0)
        return system_error("statx");
    request.mutable_lock()->set_take_over(is_marked);
    request.mutable_lock()->set_state_mount(info.stx_mnt_id);
    TRY(tell_guard(freezing.guard, request));
    ipc::GuardReply reply = TRY(await(freezing.guard));
    if (!reply.has_ready()) return failure(Errc::kProof, "the guard did not say that it is ready");
    freezing.is_frozen = reply.ready().frozen() > 0;
    if (!reply.ready().thaws()) return {};
    reply = TRY(await(freezing.guard));
    if (!reply.has_thawed() || reply.thawed().left() > 0)
        return failure(Errc::kInvalid, "the state directory's file system cannot be thawed");
    freezing.is_frozen = false;
    return {};
}

void order_freeze(const Freezing& freezing) {
    // THREAT: a host asks for a thaw while hooks run, or while the guard lists. A freeze behind that thaw would be one that
    // nobody here knows of; the guard's answer to the thaw ends the request.
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

void order_trim(const Freezing& freezing, std::uint32_t row, std::uint64_t minimum) {
    ipc::GuardRequest order;
    order.mutable_trim()->set_row(row);
    order.mutable_trim()->set_minimum(minimum);
    (void)tell_guard(freezing.guard, order);
}

void order_thaw(Freezing& freezing) {
    ipc::GuardRequest order;
    freezing.thaw_is_ordered = true;
    order.mutable_thaw()->set_freeze(freezing.number);
    (void)tell_guard(freezing.guard, order);
}

}  // namespace sallyport::broker
