// Answers guest-fsfreeze-freeze, -freeze-list, -thaw and guest-fstrim. The guard carries them out; see freezing.cpp.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their values still come from the worker
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "broker/serve/answer.hpp"
#include "broker/serve/freezing.hpp"
#include "broker/serve/guard_link.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

Refusal failed(int sys_errno, const char* why) {
    return {.reason = ipc::SYSTEM, .sys_errno = sys_errno, .why = why};
}

// The guard's row for the rule that allowed the request.
std::uint32_t row_of(const Exchange& exchange) {
    return exchange.session.freezing.rows[exchange.request.rule];
}

std::optional<Refusal> why_not_now(const Freezing& freezing) {
    if (!freezing.guard.is_open()) return failed(ENODEV, "there is no guard");
    if (freezing.is_frozen) return failed(EBUSY, "a file system of an earlier freeze is not thawed");
    if (freezing.hooks != Hooks::kNone) return failed(EBUSY, "hooks of an earlier freeze are running");
    if (freezing.guard_is_late) return failed(EBUSY, "the guard has not answered an earlier request");
    // The guard would answer a pending thaw about a freeze that is over, so it would never be answered.
    if (freezing.freeze || freezing.trim || freezing.thaw)
        return failed(EBUSY, "the guard is busy with an earlier request");
    return std::nullopt;
}

Answer start(Exchange& exchange, const schema::Strings* wanted) {
    Freezing& freezing = exchange.session.freezing;
    if (auto refusal = why_not_now(freezing)) return *refusal;
    if (const auto entered = freezing.enter(exchange.context); !entered)
        return Refusal{
            .reason = ipc::STATE_NOT_SAVED, .sys_errno = entered.error().sys_errno, .why = "state"};
    // THREAT: a worker asks for thaws until no memory for lines is left, so that nobody learns who froze.
    exchange.request.record.has_place = true;
    exchange.request.record.may_have_changed = true;
    Freeze freeze{
        .request = std::move(exchange.request), .row = row_of(exchange), .by_list = wanted != nullptr};
    if (wanted != nullptr) freeze.wanted.assign(wanted->item().begin(), wanted->item().end());
    std::ranges::sort(freeze.wanted);
    freezing.freeze = std::move(freeze);
    if (exchange.session.policy.rules[freezing.freeze->request.rule].hooks.empty())
        order_freeze(freezing);
    else
        freezing.hooks = Hooks::kFreezeDue;
    return Later{};
}

// The list of mount points, from the frame or from the arena; nothing if it is not in canonical form.
//
// THREAT: the worker changes the arena while we read. A copy is decoded.
std::optional<schema::FsfreezeFreezeList> list_of(const Exchange& exchange) {
    const ipc::Request& asked = exchange.asked;
    if (!asked.has_bulk()) return asked.fsfreeze_freeze_list();
    const ipc::Extent& first = asked.bulk().first();
    const auto data = exchange.session.arena.extent(first.offset(), first.size());
    if (!data || data->size() > kMaxMountList || asked.bulk().total() != data->size()) return std::nullopt;
    if (asked.fsfreeze_freeze_list().has_mountpoints()) return std::nullopt;
    std::string copy(data->size(), '\0');
    std::memcpy(copy.data(), data->data(), data->size());
    schema::FsfreezeFreezeList list;
    std::string scratch;
    if (!ipc::decode(copy, list, scratch)) return std::nullopt;
    return list;
}

}  // namespace

Answer answer_fsfreeze_freeze(Exchange& exchange) {
    return start(exchange, nullptr);
}

Answer answer_fsfreeze_freeze_list(Exchange& exchange) {
    const auto want = list_of(exchange);
    if (!want) return Violation{"a list of mount points that no honest worker writes"};
    std::string points;
    for (const std::string& point : want->mountpoints().item()) {
        if (points.size() >= kMaxPath) break;
        points += (points.empty() ? "" : " ") + point;
    }
    exchange.request.record.arguments.add("mountpoints", std::string_view(points).substr(0, kMaxPath));
    return start(exchange, want->has_mountpoints() ? &want->mountpoints() : nullptr);
}

// Thaws only what we froze: what the admin froze is none of the host's business.
Answer answer_fsfreeze_thaw(Exchange& exchange) {
    Freezing& freezing = exchange.session.freezing;
    if (!freezing.is_frozen) {
        Reply reply;
        reply.mutable_fsfreeze_thaw();
        return reply;
    }
    if (freezing.thaw) return failed(EBUSY, "an earlier thaw is under way");
    freezing.thaw = Thaw{.request = std::move(exchange.request)};
    order_thaw(freezing);
    return Later{};
}

Answer answer_fstrim(Exchange& exchange) {
    Freezing& freezing = exchange.session.freezing;
    const schema::Fstrim& want = exchange.asked.fstrim();
    if (want.has_minimum()) exchange.request.record.arguments.add("minimum", want.minimum());
    if (auto refusal = why_not_now(freezing)) return *refusal;
    const std::uint32_t row = row_of(exchange);
    exchange.request.record.may_have_changed = true;
    freezing.trim = Trim{.request = std::move(exchange.request)};
    order_trim(freezing, row, static_cast<std::uint64_t>(want.minimum()));
    return Later{};
}

}  // namespace sallyport::broker
