// Answers what a worker says on its own account.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their values are still the worker's
#include "broker/answer.hpp"

namespace sallyport::broker {

Answer answer_hello(Exchange& exchange) {
    Session& session = exchange.session;
    session.worker.enabled = policy::enabled_commands(session.policy, session.clock.now());
    session.worker.phase = Phase::kIdle;
    ipc::Welcome& welcome = *exchange.reply.mutable_welcome();
    for (const Command& row : kCommands)
        if (session.worker.enabled.has(row.id)) welcome.add_enabled(static_cast<std::uint32_t>(row.id));
    welcome.set_channel(session.channel);
    welcome.set_preview_names(session.policy.preview_names);
    welcome.set_frozen(session.freezing.is_frozen);
    session.worker.knows_frozen = session.freezing.is_frozen;
    return Done{};
}

Answer answer_command_disabled(Exchange& exchange) {
    const auto command = command_from_number(exchange.request.command_disabled().command());
    if (!command) return Violation{"command_disabled: no such command"};
    if (exchange.session.worker.enabled.has(*command)) return Violation{"command_disabled: it is enabled"};
    exchange.record.what = command_row(*command).name;
    return Refusal{.reason = ipc::DISABLED, .why = "the command is not allowed"};
}

// A file that was opened for a host that gave up waiting has a handle nobody will ever use.
Answer answer_reply_dropped(Exchange& exchange) {
    Session& session = exchange.session;
    const std::uint64_t seq = exchange.request.reply_dropped().seq();
    if (seq == 0 || seq > session.worker.last_seq) return Violation{"reply_dropped: no such request"};
    std::erase_if(session.files, [&](const auto& file) {
        return file.second.opened_by == session.worker.number && file.second.opened_seq == seq;
    });
    exchange.record.verdict = Verdict::kDropped;
    exchange.record.arguments.add("request", static_cast<std::int64_t>(seq));
    return NoReply{};
}

}  // namespace sallyport::broker
