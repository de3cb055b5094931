// Answers messages that a worker sends on its own account.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their values still come from the worker
#include "broker/serve/file_work.hpp"

namespace sallyport::broker {

namespace {

// What a worker asks about: each request is decided anew, and one worker may serve a device as long as the agent runs. So it is told
// also of what some rule allows at other hours, or once a deny rule does not count any more. By the policy with the dry runs, the same
// goes for what they would allow.
CommandSet asked_about(const policy::Policy& policy, Moment now) {
    CommandSet asked;
    for (const policy::Rule& rule : policy.rules)
        if (rule.effect == policy::Effect::kAllow && (!rule.expires || now.latest < *rule.expires))
            asked |= rule.commands;
    asked &= policy::reach_of(policy).commands;
    asked |= policy::enabled_commands(policy, now);
    return asked;
}

}  // namespace

std::optional<Violation> hear_hello(const Context& context, const ipc::Request& /*said*/) {
    Session& session = context.session;
    session.worker.enabled = asked_about(session.policy, session.clock.now());
    session.worker.has_greeted = true;
    ipc::Reply reply;
    ipc::Welcome& welcome = *reply.mutable_welcome();
    for (const Command& row : kCommands)
        if (session.worker.enabled.has(row.id)) welcome.add_enabled(static_cast<std::uint32_t>(row.id));
    if (session.dry_run) {
        CommandSet tried = asked_about(session.dry_run->policy, session.clock.now());
        tried -= session.worker.enabled;
        for (const Command& row : kCommands)
            if (tried.has(row.id)) welcome.add_tried(static_cast<std::uint32_t>(row.id));
    }
    welcome.set_channel(session.channel);
    welcome.set_preview_names(session.policy.preview_names);
    welcome.set_frozen(session.freezing.is_frozen);
    welcome.set_stuck(session.freezing.is_stuck);
    context.tell(reply);
    return std::nullopt;
}

Answer answer_command_disabled(Exchange& exchange) {
    const auto command = command_from_number(exchange.asked.command_disabled().command());
    if (!command) return Violation{"command_disabled: no such command"};
    if (exchange.session.worker.enabled.has(*command)) return Violation{"command_disabled: it is enabled"};
    exchange.request.record.what = command_row(*command).name;
    return Refusal{.reason = ipc::DISABLED, .why = "the command is not allowed"};
}

// A file opened for a host that gave up waiting has a handle that nobody will use.
std::optional<Violation> hear_reply_dropped(const Context& context, const ipc::Request& said) {
    const WorkerState& worker = context.session.worker;
    const std::uint64_t seq = said.reply_dropped().seq();
    if (seq == 0 || seq > worker.last_seq) return Violation{"reply_dropped: no such request"};
    const auto dropped = std::ranges::find_if(context.session.files, [&](const auto& file) {
        return file.second.opened_by == worker.number && file.second.opened_seq == seq;
    });
    if (dropped != context.session.files.end()) drop_file(context.session, dropped->first);
    Record record{.verdict = Verdict::kDropped,
                  .what = "reply-dropped",
                  .session = worker.number,
                  .started_ns = boottime_ns()};
    record.arguments.add("request", static_cast<std::int64_t>(seq));
    context.audit.write(record);
    return std::nullopt;
}

}  // namespace sallyport::broker
