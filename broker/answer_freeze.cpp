// Answers guest-fsfreeze-status, -freeze, -freeze-list, -thaw and guest-fstrim. The guard does it; see freezing.cpp.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their values are still the worker's
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "broker/answer.hpp"
#include "broker/freezing.hpp"
#include "broker/guard_link.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

Refusal failed(int sys_errno, const char* why) {
    return {.reason = ipc::SYSTEM, .sys_errno = sys_errno, .why = why};
}

Pending pending_of(Exchange& exchange, CommandId command) {
    Session& session = exchange.session;
    session.worker.phase = Phase::kWaiting;
    return {.worker = session.worker.number,
            .seq = exchange.request.seq(),
            .command = command,
            .row = exchange.rule == policy::kNoRule ? 0 : session.freezing.rows[exchange.rule],
            .reply = {},
            .record = std::move(exchange.record)};
}

std::optional<Refusal> why_not_now(const Freezing& freezing) {
    if (!freezing.guard.is_open()) return failed(ENODEV, "there is no guard");
    if (freezing.hooks != Hooks::kNone) return failed(EBUSY, "hooks of an earlier freeze are running");
    // A thaw that it has not answered would be answered about a freeze that is over, and so never.
    if (freezing.pending || freezing.thaw) return failed(EBUSY, "the guard is busy with an earlier request");
    return std::nullopt;
}

Answer start(Exchange& exchange, CommandId command, const schema::Strings* wanted) {
    Freezing& freezing = exchange.session.freezing;
    if (auto refusal = why_not_now(freezing)) return *refusal;
    if (const auto marked = freezing.mark->set(true); !marked)
        return Refusal{.reason = ipc::STATE_NOT_SAVED, .sys_errno = marked.error().sys_errno, .why = "state"};
    freezing.pending = pending_of(exchange, command);
    freezing.pending->by_list = wanted != nullptr;
    if (wanted != nullptr) freezing.pending->wanted.assign(wanted->item().begin(), wanted->item().end());
    std::ranges::sort(freezing.pending->wanted);
    // INVARIANT: from here until the guard says that all is thawed nothing of ours touches a disk; serve() holds the log.
    freezing.is_frozen = true;
    ++freezing.number;
    freezing.thaw_is_ordered = false;
    if (exchange.session.policy.rules[exchange.rule].hooks.empty())
        order_freeze(exchange.session);
    else
        freezing.hooks = Hooks::kFreezeDue;
    return Pends{};
}

// The list of a request, from its frame or from the arena; nothing if it is not in the one form.
//
// THREAT: the worker changes the arena while we look: what is decoded is a copy.
std::optional<schema::FsfreezeFreezeList> list_of(const Exchange& exchange) {
    const ipc::Request& request = exchange.request;
    if (!request.has_bulk()) return request.fsfreeze_freeze_list();
    const ipc::Extent& first = request.bulk().first();
    const auto data = exchange.session.arena.extent(first.offset(), first.size());
    if (!data || data->size() > kMaxMountList || request.bulk().total() != data->size()) return std::nullopt;
    if (request.fsfreeze_freeze_list().has_mountpoints()) return std::nullopt;
    std::string copy(data->size(), '\0');
    std::memcpy(copy.data(), data->data(), data->size());
    schema::FsfreezeFreezeList list;
    std::string scratch;
    if (!ipc::decode(copy, list, scratch)) return std::nullopt;
    return list;
}

}  // namespace

Answer answer_fsfreeze_status(Exchange& exchange) {
    using Reply = schema::FsfreezeStatusReply;
    const bool is_frozen = exchange.session.freezing.is_frozen;
    exchange.reply.mutable_fsfreeze_status()->set_value(is_frozen ? Reply::FROZEN : Reply::THAWED);
    return Done{};
}

Answer answer_fsfreeze_freeze(Exchange& exchange) {
    return start(exchange, CommandId::kFsfreezeFreeze, nullptr);
}

Answer answer_fsfreeze_freeze_list(Exchange& exchange) {
    const auto want = list_of(exchange);
    if (!want) return Violation{"a list of mount points that no honest worker writes"};
    std::string points;
    for (const std::string& point : want->mountpoints().item()) {
        if (points.size() >= kMaxPath) break;
        points += (points.empty() ? "" : " ") + point;
    }
    exchange.record.arguments.add("mountpoints", std::string_view(points).substr(0, kMaxPath));
    return start(exchange, CommandId::kFsfreezeFreezeList,
                 want->has_mountpoints() ? &want->mountpoints() : nullptr);
}

// Of what is not frozen by us nothing is thawed: the host has no business with what the admin froze.
Answer answer_fsfreeze_thaw(Exchange& exchange) {
    Freezing& freezing = exchange.session.freezing;
    if (!freezing.is_frozen) {
        exchange.reply.mutable_fsfreeze_thaw();
        return Done{};
    }
    if (freezing.thaw) return failed(EBUSY, "an earlier thaw is under way");
    const Phase before = exchange.session.worker.phase;
    freezing.thaw = pending_of(exchange, CommandId::kFsfreezeThaw);
    if (before != Phase::kIdle) exchange.session.worker.phase = before;
    order_thaw(exchange.session);
    return Pends{};
}

Answer answer_fstrim(Exchange& exchange) {
    Freezing& freezing = exchange.session.freezing;
    const schema::Fstrim& want = exchange.request.fstrim();
    if (want.has_minimum()) exchange.record.arguments.add("minimum", want.minimum());
    if (auto refusal = why_not_now(freezing)) return *refusal;
    freezing.pending = pending_of(exchange, CommandId::kFstrim);
    freezing.pending->reply.mutable_fstrim();
    order_trim(exchange.session, static_cast<std::uint64_t>(want.minimum()));
    return Pends{};
}

}  // namespace sallyport::broker
