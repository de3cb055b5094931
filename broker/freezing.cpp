// The broker's end of the conversation with the guard, which freezes, thaws and trims.
// Runs in:  broker
// Input:    frames of the guard, which never holds a byte of the host; what it says is checked all the same
#include "broker/freezing.hpp"

#include <google/protobuf/stubs/common.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "broker/guard_link.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

constexpr std::size_t kMaxTrimReply = kMaxFrame / 2;

// A host is told text, and JSON has no other: bytes that are none become '?'.
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

struct Hearing {
    Session& session;
    Audit& audit;
    const SendReply& send;
};
using Heard = std::optional<Violation>;

// Whether the present worker waits for anything; what its predecessors asked for may still be under way beside that.
bool is_waited_for(const Session& session) {
    const auto is_ours = [&](const auto& request) {
        return request && request->worker == session.worker.number;
    };
    return is_ours(session.freezing.pending) || is_ours(session.freezing.thaw) || is_ours(session.launch);
}

// Ends a request that has waited: audits it, and replies if its worker still lives.
Heard finish(const Hearing& hearing, std::optional<Pending>& slot, const Answer& answer) {
    if (!slot) return std::nullopt;
    Pending pending = *std::exchange(slot, std::nullopt);
    Session& session = hearing.session;
    WorkerState& worker = session.worker;
    if (worker.phase == Phase::kWaiting && !is_waited_for(session)) worker.phase = Phase::kIdle;
    pending.reply.set_seq(pending.seq);
    // THREAT: a worker asks for the state until the held lines are full, so that nobody learns who froze.
    pending.record.has_place = session.freezing.is_frozen && &slot == &session.freezing.pending;
    ipc::Request none;
    Exchange exchange{session, none, pending.reply, pending.record};
    if (const auto* refusal = std::get_if<Refusal>(&answer)) {
        if (!refusal->mount.empty()) pending.record.arguments.add("mount", refusal->mount);
        pending.reply.clear_fstrim();
        tell_host(*refusal, exchange, hearing.audit);
    } else {
        hearing.audit.write(pending.record);
    }
    if (const auto fault = tell_frozen(session, hearing.send)) return fault;
    if (worker.number != pending.worker || worker.phase == Phase::kGreeting) return std::nullopt;
    if (!hearing.send(pending.reply)) return Violation{"the worker does not read its replies"};
    return std::nullopt;
}

// Everything is thawed: disks may be written again.
void leave_frozen(const Hearing& hearing) {
    Freezing& freezing = hearing.session.freezing;
    if (!std::exchange(freezing.is_frozen, false)) return;
    if (freezing.hooks == Hooks::kFreezeDue) freezing.hooks = Hooks::kNone;
    if (freezing.hooks == Hooks::kFrozen) freezing.hooks = Hooks::kThawDue;
    hearing.audit.release();
    if (const auto cleared = freezing.mark->set(false); !cleared) {
        Record record{.what = "frozen-mark", .reason = "the mark of the frozen state cannot be taken back"};
        record.sys_errno = cleared.error().sys_errno;
        hearing.audit.write(record);
    }
}

void set_count(Pending& pending, std::int64_t count) {
    pending.record.arguments.add("count", count);
    if (pending.command == CommandId::kFsfreezeThaw) pending.reply.mutable_fsfreeze_thaw()->set_count(count);
    if (pending.command == CommandId::kFsfreezeFreeze)
        pending.reply.mutable_fsfreeze_freeze()->set_count(count);
    if (pending.command == CommandId::kFsfreezeFreezeList)
        pending.reply.mutable_fsfreeze_freeze_list()->set_count(count);
}

Heard hear_listed(const Hearing& hearing, const ipc::Listed& listed) {
    auto& pending = hearing.session.freezing.pending;
    if (!pending || !pending->by_list) return std::nullopt;
    for (const ipc::Listed::Mount& mount : listed.mounts())
        if (std::ranges::binary_search(pending->wanted, mount.point()) &&
            (pending->chosen.empty() || pending->chosen.back() != mount.number()))
            pending->chosen.push_back(mount.number());
    if (listed.more() || hearing.session.freezing.thaw_is_ordered) return std::nullopt;
    ipc::GuardRequest request;
    ipc::Freeze& freeze = *request.mutable_freeze();
    freeze.set_row(pending->row);
    freeze.set_freeze(hearing.session.freezing.number);
    freeze.set_chosen_only(true);
    for (const std::uint32_t number : pending->chosen) freeze.add_chosen(number);
    (void)tell_guard(hearing.session.freezing.guard, request);
    return std::nullopt;
}

Heard hear_frozen(const Hearing& hearing, const ipc::Frozen& frozen) {
    auto& pending = hearing.session.freezing.pending;
    if (!pending) return std::nullopt;
    set_count(*pending, frozen.count());
    pending->record.arguments.add("unsupported", std::int64_t{frozen.unsupported()});
    pending->record.arguments.add("already_frozen", std::int64_t{frozen.already_frozen()});
    pending->record.arguments.add("window_us", frozen.window_us());
    if (frozen.count() == 0) leave_frozen(hearing);
    return finish(hearing, pending, Done{});
}

Heard hear_thawed(const Hearing& hearing, const ipc::Thawed& thawed) {
    Freezing& freezing = hearing.session.freezing;
    // THREAT: a host asks for a thaw when the guard thaws by itself, then at once for a freeze. The guard's second report
    // is about what was thawed before; were it believed, the log would be written on a frozen disk.
    if (thawed.freeze() != freezing.number) return std::nullopt;
    if (thawed.left() > 0) {
        if (const auto fault = finish(hearing, freezing.pending, refusal_of(thawed.error()))) return fault;
        return finish(hearing, freezing.thaw, refusal_of(thawed.error()));
    }
    leave_frozen(hearing);
    if (thawed.cause() != ipc::Thawed::COMMAND) {
        Record record{.what = "thawed", .reason = "the guard thawed by itself"};
        record.arguments.add("cause", ipc::Thawed::Cause_Name(thawed.cause()));
        record.arguments.add("count", std::int64_t{thawed.count()});
        hearing.audit.write(record);
    }
    ipc::MountError lost;
    lost.set_sys_errno(ECANCELED);
    if (const auto fault = finish(hearing, freezing.pending, refusal_of(lost))) return fault;
    if (freezing.thaw) set_count(*freezing.thaw, thawed.count());
    const auto fault = finish(hearing, freezing.thaw, Done{});
    return fault ? fault : tell_frozen(hearing.session, hearing.send);
}

Heard hear_trimmed(const Hearing& hearing, const ipc::Trimmed& trimmed) {
    auto& pending = hearing.session.freezing.pending;
    if (!pending || !pending->reply.has_fstrim()) return std::nullopt;
    if (trimmed.last()) return finish(hearing, pending, Done{});
    // The rest has been trimmed all the same; a reply has an end.
    if (pending->reply.ByteSizeLong() > kMaxTrimReply) return std::nullopt;
    schema::FstrimReply::Path& path = *pending->reply.mutable_fstrim()->add_paths();
    path.set_path(as_text(trimmed.mount()));
    if (!trimmed.has_error()) {
        path.set_trimmed(static_cast<std::int64_t>(trimmed.trimmed()));
        path.set_minimum(static_cast<std::int64_t>(trimmed.minimum()));
        return std::nullopt;
    }
    const int error = trimmed.error().sys_errno();
    const char* text = ::strerrordesc_np(error);
    const bool is_open = trimmed.error().step() == ipc::MountError::OPEN;
    path.set_error(error == ENOTTY || error == EOPNOTSUPP
                       ? "trim not supported"
                       : std::string(is_open ? "failed to open: " : "failed to trim: ") +
                             (text ? text : "?"));
    return std::nullopt;
}

}  // namespace

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

std::optional<Violation> conclude_hooks(Session& session, Audit& audit, const ipc::Outcome& outcome,
                                        const SendReply& send) {
    Freezing& freezing = session.freezing;
    const bool was_freeze = freezing.hooks == Hooks::kFreezing;
    const bool is_done = outcome.kind() == ipc::Outcome::DONE;
    Record record{.verdict = is_done ? Verdict::kNote : Verdict::kFailed,
                  .what = was_freeze ? "hooks-freeze" : "hooks-thaw"};
    record.arguments.add("outcome", ipc::Outcome::Kind_Name(outcome.kind()));
    record.arguments.add("program", outcome.program());
    record.arguments.add("number", std::int64_t{outcome.number()});
    record.arguments.add("output", outcome.output());
    audit.write(record);
    if (!was_freeze) {
        freezing.hooks = Hooks::kNone;
        return std::nullopt;
    }
    freezing.hooks = Hooks::kFrozen;
    if (is_done && freezing.pending) {
        order_freeze(session);
        return std::nullopt;
    }
    // Given up meanwhile, or a hook failed: nothing is frozen, and what the hooks did is undone.
    const Hearing hearing{session, audit, send};
    freezing.hooks = Hooks::kThawDue;
    leave_frozen(hearing);
    const bool has_exited = outcome.kind() == ipc::Outcome::EXITED;
    return finish(
        hearing, freezing.pending,
        Refusal{.reason = ipc::HOOK_FAILED, .sys_errno = has_exited ? outcome.number() : 0, .why = "a hook"});
}

void conclude_waiting(Session& session, Audit& audit) {
    for (std::optional<Pending>* slot : {&session.freezing.pending, &session.freezing.thaw}) {
        if (!*slot) continue;
        Pending pending = *std::exchange(*slot, std::nullopt);
        pending.record.verdict = Verdict::kFailed;
        pending.record.reason = "the agent ended";
        audit.write(pending.record);
    }
}

std::optional<Violation> tell_frozen(Session& session, const SendReply& send) {
    WorkerState& worker = session.worker;
    if (worker.phase == Phase::kGreeting || worker.knows_frozen == session.freezing.is_frozen)
        return std::nullopt;
    worker.knows_frozen = session.freezing.is_frozen;
    ipc::Reply reply;
    reply.mutable_frozen_state()->set_frozen(worker.knows_frozen);
    if (!send(reply)) return Violation{"the worker does not read its replies"};
    return std::nullopt;
}

Result<std::optional<Violation>> hear_guard(Session& session, Audit& audit, const SendReply& send) {
    const auto reply = receive_from_guard(session.freezing.guard);
    if (!reply) return std::unexpected(reply.error());
    if (!*reply) return std::optional<Violation>();
    const Hearing hearing{session, audit, send};
    switch ((*reply)->op_case()) {
        case ipc::GuardReply::kListed:
            return hear_listed(hearing, (*reply)->listed());
        case ipc::GuardReply::kFrozen:
            return hear_frozen(hearing, (*reply)->frozen());
        case ipc::GuardReply::kFreezeFailed:
            leave_frozen(hearing);
            return finish(hearing, session.freezing.pending, refusal_of((*reply)->freeze_failed().error()));
        case ipc::GuardReply::kThawed:
            return hear_thawed(hearing, (*reply)->thawed());
        case ipc::GuardReply::kTrimmed:
            return hear_trimmed(hearing, (*reply)->trimmed());
        default:
            return failure(Errc::kInvalid, "guard: not a reply of its");
    }
}

}  // namespace sallyport::broker
