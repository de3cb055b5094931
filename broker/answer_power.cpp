// Answers guest-shutdown and guest-suspend-ram, -disk and -hybrid.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their values are still the worker's
// Relies on: launch.cpp for what a row means, the launcher for doing it
#include <array>
#include <cerrno>

#include "broker/answer.hpp"
#include "broker/launch.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

using policy::Mode;

struct ModeRow {
    std::string_view name;
    Mode mode;
};
constexpr std::array kModes{ModeRow{"halt", Mode::kHalt}, ModeRow{"powerdown", Mode::kPowerdown},
                            ModeRow{"reboot", Mode::kReboot}};

// INVARIANT: nothing is started before its request is in the audit log; serve.cpp tells the launcher after that.
Answer launch(Exchange& exchange, Mode mode, const policy::Decision& decision) {
    Session& session = exchange.session;
    exchange.record.rule = rule_id(session.policy, decision);
    if (!decision.is_allowed())
        return Refusal{.reason = ipc::REFUSED, .why = "no allow rule covers this mode"};
    if (session.launch)
        return Refusal{.reason = ipc::SYSTEM, .sys_errno = EBUSY, .why = "an earlier request is under way"};
    const auto action = exchange.request.command_case();
    session.launch = Launch{.row = power_row(action, mode, session.policy.rules[decision.rule].method),
                            .worker = session.worker.number,
                            .seq = exchange.request.seq(),
                            .action = action};
    session.worker.phase = Phase::kWaiting;
    return NoReply{};
}

// Whole-command permission was settled before the answer; the rule says by which method.
Answer suspend(Exchange& exchange, CommandId command) {
    return launch(exchange, Mode::kNone,
                  policy::decide_command(exchange.session.policy, command, exchange.session.clock.now()));
}

void set_done(ipc::Request::CommandCase action, ipc::Reply& reply) {
    if (action == ipc::Request::kShutdown) reply.mutable_shutdown();
    if (action == ipc::Request::kSuspendRam) reply.mutable_suspend_ram();
    if (action == ipc::Request::kSuspendDisk) reply.mutable_suspend_disk();
    if (action == ipc::Request::kSuspendHybrid) reply.mutable_suspend_hybrid();
}

void set_error(const ipc::Outcome& outcome, ipc::Error& error) {
    switch (outcome.kind()) {
        case ipc::Outcome::UNSUPPORTED:
            return error.set_reason(ipc::UNSUPPORTED);
        case ipc::Outcome::EXITED:
            error.set_exit_status(outcome.number());
            return error.set_reason(ipc::CHILD_EXITED);
        case ipc::Outcome::KILLED:
        case ipc::Outcome::LATE:
            return error.set_reason(ipc::CHILD_KILLED);
        default:
            error.set_sys_errno(outcome.kind() == ipc::Outcome::FAILED ? outcome.number() : EPERM);
            return error.set_reason(ipc::NOT_STARTED);
    }
}

}  // namespace

Answer answer_shutdown(Exchange& exchange) {
    const schema::Shutdown& want = exchange.request.shutdown();
    const std::string_view raw = want.has_mode() ? std::string_view(want.mode()) : "powerdown";
    exchange.record.arguments.add("mode", raw.substr(0, kMaxOpenMode));
    for (const auto& [name, mode] : kModes)
        if (name == raw)
            return launch(
                exchange, mode,
                policy::decide_shutdown(exchange.session.policy, mode, exchange.session.clock.now()));
    return Refusal{.reason = ipc::BAD_MODE, .why = "not a mode"};
}

Answer answer_suspend_disk(Exchange& exchange) {
    return suspend(exchange, CommandId::kSuspendDisk);
}

Answer answer_suspend_ram(Exchange& exchange) {
    return suspend(exchange, CommandId::kSuspendRam);
}

Answer answer_suspend_hybrid(Exchange& exchange) {
    return suspend(exchange, CommandId::kSuspendHybrid);
}

std::optional<ipc::Reply> conclude_launch(Session& session, Audit& audit, const ipc::Outcome& outcome) {
    const Launch launch = *std::exchange(session.launch, std::nullopt);
    const bool is_done = outcome.kind() == ipc::Outcome::DONE;
    Record record;
    record.what = "launch-ended";
    record.session = launch.worker;
    record.verdict = is_done ? Verdict::kNote : Verdict::kFailed;
    record.arguments.add("request", static_cast<std::int64_t>(launch.seq));
    record.arguments.add("outcome", ipc::Outcome::Kind_Name(outcome.kind()));
    record.arguments.add("program", outcome.program());
    record.arguments.add("number", std::int64_t{outcome.number()});
    record.arguments.add("output", outcome.output());
    audit.write(record);
    if (session.worker.number != launch.worker || session.worker.phase != Phase::kWaiting)
        return std::nullopt;
    session.worker.phase = Phase::kIdle;
    ipc::Reply reply;
    reply.set_seq(launch.seq);
    if (is_done) {
        set_done(launch.action, reply);
    } else {
        set_error(outcome, *reply.mutable_error());
        const auto method = method_of(launch.row, outcome.attempt());
        reply.mutable_error()->set_method(static_cast<ipc::PowerMethod>(method));
    }
    return reply;
}

}  // namespace sallyport::broker
