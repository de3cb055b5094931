// Answers guest-shutdown and guest-suspend-ram, -disk and -hybrid.
// Runs in:  broker, after lockdown()
// Input:    canonical requests in order; their values are still the worker's
// Relies on: launch.cpp for the meaning of a row, the launcher for the act
#include <algorithm>
#include <array>
#include <cerrno>

#include "broker/serve/answer.hpp"
#include "broker/serve/launch.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

using policy::Mode;

struct PowerMode {
    std::string_view name;
    Mode mode;
};
constexpr std::array kPowerModes{PowerMode{"halt", Mode::kHalt}, PowerMode{"powerdown", Mode::kPowerdown},
                                 PowerMode{"reboot", Mode::kReboot}};

// INVARIANT: the request is in the audit log before anything is started; the loop tells the launcher after that.
Answer launch(Exchange& exchange, Mode mode, std::size_t rule) {
    Session& session = exchange.session;
    if (session.launch)
        return Refusal{.reason = ipc::SYSTEM, .sys_errno = EBUSY, .why = "an earlier request is under way"};
    Request& request = exchange.request;
    const std::uint32_t row = power_row(request.op(), mode, session.policy.rules[rule].method);
    request.write_ahead(exchange.context.audit);
    session.launch = Launch{.request = std::move(request), .row = row};
    return Later{};
}

Reply done(ipc::Request::CommandCase action) {
    Reply reply;
    if (action == ipc::Request::kShutdown) reply.mutable_shutdown();
    if (action == ipc::Request::kSuspendRam) reply.mutable_suspend_ram();
    if (action == ipc::Request::kSuspendDisk) reply.mutable_suspend_disk();
    if (action == ipc::Request::kSuspendHybrid) reply.mutable_suspend_hybrid();
    return reply;
}

Refusal refusal_of(const ipc::Outcome& outcome) {
    switch (outcome.kind()) {
        case ipc::Outcome::UNSUPPORTED:
            return {.reason = ipc::UNSUPPORTED};
        case ipc::Outcome::EXITED:
            return {.reason = ipc::CHILD_EXITED, .exit_status = outcome.number()};
        case ipc::Outcome::KILLED:
        case ipc::Outcome::LATE:
            return {.reason = ipc::CHILD_KILLED};
        default: {
            const bool has_errno = outcome.kind() == ipc::Outcome::FAILED;
            return {.reason = ipc::NOT_STARTED, .sys_errno = has_errno ? outcome.number() : EPERM};
        }
    }
}

std::string_view mode_of(const schema::Shutdown& want) {
    return want.has_mode() ? std::string_view(want.mode()) : "powerdown";
}

}  // namespace

void describe_shutdown(const Exchange& exchange, JsonLine& arguments) {
    arguments.add("mode", mode_of(exchange.asked.shutdown()).substr(0, kMaxOpenMode));
}

Ruling judge_shutdown(const Judging& by, const Exchange& exchange) {
    const auto* const row =
        std::ranges::find(kPowerModes, mode_of(exchange.asked.shutdown()), &PowerMode::name);
    if (row == kPowerModes.end()) return {};
    const auto decision = policy::decide_shutdown(by.policy, row->mode, exchange.session.clock.now());
    return {.is_allowed = decision.is_allowed(), .rule = rule_id(by.policy, decision)};
}

Answer answer_shutdown(Exchange& exchange) {
    describe_shutdown(exchange, exchange.request.record.arguments);
    const auto* const row =
        std::ranges::find(kPowerModes, mode_of(exchange.asked.shutdown()), &PowerMode::name);
    if (row == kPowerModes.end()) return Refusal{.reason = ipc::BAD_MODE, .why = "not a mode"};
    const Session& session = exchange.session;
    const auto decision = policy::decide_shutdown(session.policy, row->mode, session.clock.now());
    exchange.request.record.rule = rule_id(session.policy, decision);
    if (!decision.is_allowed())
        return Refusal{.reason = ipc::REFUSED, .why = "no allow rule covers this mode"};
    if (auto refusal = take_request(exchange, decision.rule)) return *refusal;
    return launch(exchange, row->mode, decision.rule);
}

// Permission for the whole command was decided before; the rule says by which method.
Answer answer_suspend_disk(Exchange& exchange) {
    return launch(exchange, Mode::kNone, exchange.request.rule);
}

Answer answer_suspend_ram(Exchange& exchange) {
    return launch(exchange, Mode::kNone, exchange.request.rule);
}

Answer answer_suspend_hybrid(Exchange& exchange) {
    return launch(exchange, Mode::kNone, exchange.request.rule);
}

void conclude_launch(const Context& context, const ipc::Outcome& outcome) {
    std::optional<Launch>& launch = context.session.launch;
    const std::uint32_t row = launch->row;
    Request request = take_back(launch);
    const bool is_done = outcome.kind() == ipc::Outcome::DONE;
    Record record;
    record.what = "launch-ended";
    record.session = request.worker();
    record.verdict = is_done ? Verdict::kNote : Verdict::kFailed;
    record.arguments.add("request", static_cast<std::int64_t>(request.seq()));
    record.arguments.add("outcome", ipc::Outcome::Kind_Name(outcome.kind()));
    record.arguments.add("program", outcome.program());
    record.arguments.add("number", std::int64_t{outcome.number()});
    record.arguments.add("output", outcome.output());
    context.audit.write(record);
    if (is_done) return request.complete(context, done(request.op()));
    Refusal refusal = refusal_of(outcome);
    refusal.method = static_cast<ipc::PowerMethod>(method_of(row, outcome.attempt()));
    request.refuse(context, refusal);
}

}  // namespace sallyport::broker
