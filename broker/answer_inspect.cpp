// Answers every command that only looks: the inspector is asked, and what it says is checked and filtered.
// Runs in:  broker, after lockdown()
// Input:    canonical requests without arguments; replies of the inspector, which may have been taken over by a name
//           that a user of the guest chose
// INVARIANT: a reply reaches the worker only if it is in the one form that the schema allows for its command.
#include <cerrno>

#include "broker/answer.hpp"
#include "broker/filter.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

Refusal end_query(Exchange& exchange, ipc::Reason reason, int sys_errno, const char* why) {
    WorkerState& worker = exchange.session.worker;
    worker.transfer.text = {};
    worker.phase = Phase::kIdle;
    return Refusal{.reason = reason, .sys_errno = sys_errno, .why = why};
}

// The reply is complete. THREAT: a field that the schema does not know, a reply to something else, an error that no query
// has, all for a worker that trusts us.
Answer give(Exchange& exchange) {
    Session& session = exchange.session;
    WorkerState& worker = session.worker;
    Transfer& transfer = worker.transfer;
    // Into a message of its own: what is wrong with it must not be in the reply that says so.
    ipc::Reply said;
    std::string bytes;
    const bool is_message = ipc::decode(transfer.text, said, bytes).has_value();
    if (is_message && said.has_error()) {
        const bool is_empty = said.error().reason() == ipc::NO_BLOCKS;
        return end_query(exchange, is_empty ? ipc::NO_BLOCKS : ipc::SYSTEM, said.error().sys_errno(),
                         "the guest cannot say");
    }
    if (!is_message || static_cast<int>(said.result_case()) != transfer.command || said.has_data())
        return end_query(exchange, ipc::CRASHED, 0, "the inspector's reply is not of the promised form");
    filter_reply({session.policy, *find_command(exchange.record.what), session.clock.now()}, said);
    said.set_seq(transfer.seq);
    ipc::encode(said, transfer.text);
    exchange.reply.Swap(&said);
    exchange.record.bytes = transfer.text.size();
    worker.phase = Phase::kIdle;
    if (transfer.text.size() <= kMaxFrame) {
        transfer.text = {};
        return Done{};
    }
    exchange.reply.clear_result();
    transfer.wanted = transfer.text.size();
    worker.phase = Phase::kReading;
    return send_part(exchange);
}

}  // namespace

Answer answer_inspect(Exchange& exchange) {
    Session& session = exchange.session;
    ipc::Request query = exchange.request;
    query.set_seq(++session.queries);
    std::string frame;
    ipc::encode(query, frame);
    if (const auto asked = ipc::send(session.inspector, frame, ipc::WhenFull::kFail); !asked)
        return Refusal{.reason = ipc::CRASHED, .why = "the inspector does not take the query"};
    session.worker.transfer = Transfer{.seq = exchange.request.seq(),
                                       .command = exchange.request.command_case(),
                                       .query = session.queries,
                                       .due_ns = boottime_ns() + std::int64_t{kInspectorLateMs} * 1'000'000};
    session.worker.phase = Phase::kInspecting;
    return Continues{};
}

Answer take_inspected(Exchange& exchange, const ipc::InspectorReply& said) {
    Transfer& transfer = exchange.session.worker.transfer;
    if (said.has_query_failed()) {
        const bool is_late = said.query_failed().reason() == ipc::LATE;
        const bool is_large = said.query_failed().reason() == ipc::TOO_LARGE;
        return end_query(exchange,
                         is_late    ? ipc::LATE
                         : is_large ? ipc::TOO_LARGE
                                    : ipc::CRASHED,
                         0, "the inspector has no reply");
    }
    const ipc::ReplyPart& part = said.reply_part();
    if (part.data().size() > kMaxInspected - transfer.text.size())
        return end_query(exchange, ipc::TOO_LARGE, 0, "the inspector's reply is too large");
    transfer.text += part.data();
    if (!part.last()) return Continues{};
    return give(exchange);
}

}  // namespace sallyport::broker
