// Runs in:  broker
#include "broker/serve/freezing.hpp"

#include <google/protobuf/stubs/common.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "broker/serve/guard_link.hpp"
#include "broker/serve/under_way.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

constexpr std::size_t kMaxTrimReply = kMaxFrame / 2;

// The host gets text, since JSON has nothing else: if it is not UTF-8, the bytes outside ASCII become '?'.
std::string as_text(std::string text) {
    if (!google::protobuf::internal::IsStructurallyValidUTF8(text.data(), static_cast<int>(text.size())))
        std::ranges::replace_if(
            text, [](char byte) { return static_cast<unsigned char>(byte) >= 0x80U; }, '?');
    return text;
}

Refusal refusal_of(const ipc::MountError& error) {
    const bool is_open = error.step() == ipc::MountError::OPEN;
    const bool is_thaw = error.step() == ipc::MountError::THAW;
    const auto reason = error.mount().empty() ? ipc::SYSTEM
                        : is_open             ? ipc::MOUNT_OPEN
                        : is_thaw             ? ipc::MOUNT_THAW
                                              : ipc::MOUNT_FREEZE;
    return {.reason = reason, .sys_errno = error.sys_errno(), .why = "a file system", .mount = error.mount()};
}

void tell_state(const Context& context) {
    if (!context.session.worker.has_greeted) return;
    ipc::Reply reply;
    reply.mutable_frozen_state()->set_frozen(context.session.freezing.is_frozen);
    reply.mutable_frozen_state()->set_stuck(context.session.freezing.is_stuck);
    context.tell(reply);
}

// Takes back the request to freeze, if there is one.
std::optional<Request> take_back_freeze(Freezing& freezing) {
    if (!freezing.freeze) return std::nullopt;
    return take_back(freezing.freeze);
}

void refuse_freeze(const Context& context, const Refusal& refusal) {
    if (auto request = take_back_freeze(context.session.freezing)) request->refuse(context, refusal);
}

void complete(const Context& context, Request request, std::int64_t count) {
    const auto command = request.command();
    Reply reply;
    if (command == CommandId::kFsfreezeThaw) reply.mutable_fsfreeze_thaw()->set_count(count);
    if (command == CommandId::kFsfreezeFreeze) reply.mutable_fsfreeze_freeze()->set_count(count);
    if (command == CommandId::kFsfreezeFreezeList) reply.mutable_fsfreeze_freeze_list()->set_count(count);
    request.complete(context, std::move(reply));
}

void hear_listed(const Context& context, const ipc::Listed& listed) {
    Freezing& freezing = context.session.freezing;
    if (!freezing.freeze || !freezing.freeze->by_list) return;
    Freeze& freeze = *freezing.freeze;
    for (const ipc::Listed::Mount& mount : listed.mounts())
        if (std::ranges::binary_search(freeze.wanted, mount.point()) &&
            (freeze.chosen.empty() || freeze.chosen.back() != mount.number()))
            freeze.chosen.push_back(mount.number());
    if (listed.more() || freezing.thaw_is_ordered) return;
    ipc::GuardRequest request;
    ipc::Freeze& order = *request.mutable_freeze();
    order.set_row(freeze.row);
    order.set_freeze(freezing.number);
    order.set_chosen_only(true);
    for (const std::uint32_t number : freeze.chosen) order.add_chosen(number);
    (void)tell_guard(freezing.guard, request);
}

void hear_begun(Freezing& freezing) {
    if (freezing.freeze) freezing.freeze->request.due_ns = 0;
    if (freezing.trim) freezing.trim->request.due_ns = 0;
}

void hear_frozen(const Context& context, const ipc::Frozen& frozen) {
    Freezing& freezing = context.session.freezing;
    if (!freezing.freeze) return;
    JsonLine& arguments = freezing.freeze->request.record.arguments;
    arguments.add("count", std::int64_t{frozen.count()});
    arguments.add("unsupported", std::int64_t{frozen.unsupported()});
    arguments.add("already_frozen", std::int64_t{frozen.already_frozen()});
    arguments.add("left_out", std::int64_t{frozen.left_out()});
    arguments.add("window_us", frozen.window_us());
    if (frozen.count() == 0) freezing.leave(context);
    complete(context, *take_back_freeze(freezing), frozen.count());
}

// The kernel does not thaw it: its disk is gone, or a process blocks the freeze inside the kernel.
void hear_left(const Context& context, const ipc::Thawed& thawed) {
    Freezing& freezing = context.session.freezing;
    if (thawed.spares_state()) freezing.go_on_without(context);
    if (!freezing.thaw) {
        Record record{
            .verdict = Verdict::kFailed, .what = "not-thawed", .reason = "a file system cannot be thawed"};
        record.sys_errno = thawed.error().sys_errno();
        record.arguments.add("mount", thawed.error().mount());
        record.arguments.add("left", std::int64_t{thawed.left()});
        context.audit.write(record);
    }
    refuse_freeze(context, refusal_of(thawed.error()));
    if (freezing.thaw) take_back(freezing.thaw).refuse(context, refusal_of(thawed.error()));
}

void hear_thawed(const Context& context, const ipc::Thawed& thawed) {
    Freezing& freezing = context.session.freezing;
    // THREAT: a host asks for a thaw when the guard thaws by itself, and at once for a freeze. The guard's second report is about
    // the earlier freeze; if it were believed, the log would be written to a frozen disk.
    if (thawed.freeze() != freezing.number) return;
    freezing.guard_is_late = false;
    if (thawed.left() > 0) return hear_left(context, thawed);
    freezing.leave(context);
    if (thawed.cause() != ipc::Thawed::COMMAND) {
        Record record{.what = "thawed", .reason = "the guard thawed by itself"};
        record.arguments.add("cause", ipc::Thawed::Cause_Name(thawed.cause()));
        record.arguments.add("count", std::int64_t{thawed.count()});
        context.audit.write(record);
    }
    ipc::MountError lost;
    lost.set_sys_errno(ECANCELED);
    refuse_freeze(context, refusal_of(lost));
    if (!freezing.thaw) return;
    freezing.thaw->request.record.arguments.add("count", std::int64_t{thawed.count()});
    complete(context, take_back(freezing.thaw), thawed.count());
}

void hear_trimmed(const Context& context, const ipc::Trimmed& trimmed) {
    std::optional<Trim>& trim = context.session.freezing.trim;
    if (!trim) {
        if (trimmed.last()) context.session.freezing.guard_is_late = false;
        return;
    }
    if (trimmed.last() && trimmed.has_error())
        return take_back(trim).refuse(context, refusal_of(trimmed.error()));
    if (trimmed.last()) {
        Reply reply;
        reply.mutable_fstrim()->Swap(&trim->reply);
        return take_back(trim).complete(context, std::move(reply));
    }
    // The reply has a size limit; the rest is trimmed all the same.
    if (trim->reply.ByteSizeLong() > kMaxTrimReply) return;
    schema::FstrimReply::Path& path = *trim->reply.add_paths();
    path.set_path(as_text(trimmed.mount()));
    if (!trimmed.has_error()) {
        path.set_trimmed(static_cast<std::int64_t>(trimmed.trimmed()));
        path.set_minimum(static_cast<std::int64_t>(trimmed.minimum()));
        return;
    }
    const int error = trimmed.error().sys_errno();
    const char* text = ::strerrordesc_np(error);
    const bool is_open = trimmed.error().step() == ipc::MountError::OPEN;
    path.set_error(error == ENOTTY || error == EOPNOTSUPP
                       ? "trim not supported"
                       : std::string(is_open ? "failed to open: " : "failed to trim: ") +
                             (text ? text : "?"));
}

}  // namespace

Status Freezing::enter(const Context& context) {
    TRY(mark->set(true));
    context.audit.hold();
    is_frozen = true;
    ++number;
    thaw_is_ordered = false;
    tell_state(context);
    return {};
}

void Freezing::go_on_without(const Context& context) {
    if (std::exchange(is_stuck, true)) return;
    if (hooks == Hooks::kFrozen) hooks = Hooks::kThawDue;
    context.audit.go_on();
    tell_state(context);
}

void Freezing::leave(const Context& context) {
    if (!std::exchange(is_frozen, false)) return;
    is_stuck = false;
    if (hooks == Hooks::kFreezeDue) hooks = Hooks::kNone;
    if (hooks == Hooks::kFrozen) hooks = Hooks::kThawDue;
    context.audit.release();
    if (const auto cleared = mark->set(false); !cleared) {
        Record record{.what = "frozen-mark", .reason = "the mark of the frozen state cannot be taken back"};
        record.sys_errno = cleared.error().sys_errno;
        context.audit.write(record);
    }
    tell_state(context);
}

// THREAT: a local user or a disk blocks the guard while it plans or opens. Then nothing is frozen yet, and the order to thaw
// makes sure that nothing will be.
bool end_late_order(const Context& context, std::int64_t now_ns) {
    Freezing& freezing = context.session.freezing;
    const Refusal late{.reason = ipc::SYSTEM, .sys_errno = ETIMEDOUT, .why = "the guard does not answer"};
    if (freezing.freeze && is_late(freezing.freeze->request, now_ns)) {
        freezing.guard_is_late = true;
        order_thaw(freezing);
        freezing.leave(context);
        refuse_freeze(context, late);
        return true;
    }
    if (freezing.trim && is_late(freezing.trim->request, now_ns)) {
        freezing.guard_is_late = true;
        take_back(freezing.trim).refuse(context, late);
        return true;
    }
    if (!freezing.thaw || !is_late(freezing.thaw->request, now_ns)) return false;
    take_back(freezing.thaw).refuse(context, late);
    return true;
}

std::optional<ipc::LauncherRequest::Hooks> hooks_to_begin(Session& session) {
    Hooks& hooks = session.freezing.hooks;
    if (session.launch && session.launch->is_told) return std::nullopt;
    if (hooks == Hooks::kFreezeDue) {
        hooks = Hooks::kFreezing;
        return ipc::LauncherRequest::FREEZE;
    }
    if (hooks != Hooks::kThawDue) return std::nullopt;
    hooks = Hooks::kThawing;
    return ipc::LauncherRequest::THAW;
}

void conclude_hooks(const Context& context, const ipc::Outcome& outcome) {
    Freezing& freezing = context.session.freezing;
    const bool was_freeze = freezing.hooks == Hooks::kFreezing;
    const bool is_done = outcome.kind() == ipc::Outcome::DONE;
    Record record{.verdict = is_done ? Verdict::kNote : Verdict::kFailed,
                  .what = was_freeze ? "hooks-freeze" : "hooks-thaw"};
    record.arguments.add("outcome", ipc::Outcome::Kind_Name(outcome.kind()));
    record.arguments.add("program", outcome.program());
    record.arguments.add("number", std::int64_t{outcome.number()});
    record.arguments.add("output", outcome.output());
    context.audit.write(record);
    if (!was_freeze) {
        freezing.hooks = Hooks::kNone;
        return;
    }
    freezing.hooks = Hooks::kFrozen;
    if (is_done && freezing.freeze) return order_freeze(freezing);
    // Given up meanwhile, or a hook failed: nothing is frozen, and the thaw hooks run.
    freezing.hooks = Hooks::kThawDue;
    freezing.leave(context);
    const bool has_exited = outcome.kind() == ipc::Outcome::EXITED;
    refuse_freeze(
        context,
        {.reason = ipc::HOOK_FAILED, .sys_errno = has_exited ? outcome.number() : 0, .why = "a hook"});
}

Status hear_guard(const Context& context) {
    const auto reply = TRY(receive_from_guard(context.session.freezing.guard));
    if (!reply) return {};
    switch (reply->op_case()) {
        case ipc::GuardReply::kListed:
            return hear_listed(context, reply->listed()), Status();
        case ipc::GuardReply::kFrozen:
            return hear_frozen(context, reply->frozen()), Status();
        case ipc::GuardReply::kFreezeFailed:
            context.session.freezing.leave(context);
            return refuse_freeze(context, refusal_of(reply->freeze_failed().error())), Status();
        case ipc::GuardReply::kThawed:
            return hear_thawed(context, reply->thawed()), Status();
        case ipc::GuardReply::kBegun:
            return hear_begun(context.session.freezing), Status();
        case ipc::GuardReply::kTrimmed:
            return hear_trimmed(context, reply->trimmed()), Status();
        default:
            return failure(Errc::kInvalid, "guard: unexpected frame");
    }
}

}  // namespace sallyport::broker
