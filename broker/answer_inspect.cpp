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

void fail_query(const Context& context, ipc::Reason reason, int sys_errno, const char* why) {
    take_back(context.session.worker.query)
        .refuse(context, {.reason = reason, .sys_errno = sys_errno, .why = why});
}

// The reply is complete. THREAT: a field that the schema does not know, a reply to something else, an error that no query
// has, all for a worker that trusts us.
void give(const Context& context) {
    Session& session = context.session;
    Query& query = *session.worker.query;
    // Into a message of its own: what is wrong with it must not be in the reply that says so.
    Reply said;
    const bool is_message = ipc::decode(query.text, said, context.bytes).has_value();
    if (is_message && said.has_error()) {
        const bool is_empty = said.error().reason() == ipc::NO_BLOCKS;
        return fail_query(context, is_empty ? ipc::NO_BLOCKS : ipc::SYSTEM, said.error().sys_errno(),
                          "the guest cannot say");
    }
    const Request& request = query.request;
    if (!is_message || static_cast<int>(said.result_case()) != request.op() || said.has_data())
        return fail_query(context, ipc::CRASHED, 0, "the inspector's reply is not of the promised form");
    filter_reply({session.policy, *request.command(), session.clock.now()}, said);
    said.set_seq(request.seq());
    std::string text;
    ipc::encode(said, text);
    Request whole = take_back(session.worker.query);
    whole.record.bytes = text.size();
    if (text.size() <= kMaxFrame) return whole.complete(context, std::move(said));
    whole.due_ns = 0;
    const std::uint64_t size = text.size();
    session.worker.read = Read{.request = std::move(whole), .text = std::move(text), .wanted = size};
    send_parts(context);
}

}  // namespace

Answer answer_inspect(Exchange& exchange) {
    Session& session = exchange.session;
    ipc::Request query = exchange.asked;
    query.set_seq(++session.queries);
    std::string frame;
    ipc::encode(query, frame);
    if (const auto asked = ipc::send(session.inspector, frame, ipc::WhenFull::kFail); !asked)
        return Refusal{.reason = ipc::CRASHED, .why = "the inspector does not take the query"};
    exchange.request.due_ns = boottime_ns() + std::int64_t{kInspectorLateMs} * 1'000'000;
    session.worker.query = Query{.request = std::move(exchange.request), .number = session.queries};
    return Later{};
}

void take_inspected(const Context& context, const ipc::InspectorReply& said) {
    std::optional<Query>& query = context.session.worker.query;
    const std::uint64_t number =
        said.has_reply_part() ? said.reply_part().query() : said.query_failed().query();
    // It answers a query whose worker has ended, or at last, after its deadline: nobody wants that any more.
    if (!query || number != query->number) return;
    if (said.has_query_failed()) {
        const ipc::Reason reason = said.query_failed().reason();
        const bool is_known = reason == ipc::LATE || reason == ipc::TOO_LARGE;
        return fail_query(context, is_known ? reason : ipc::CRASHED, 0, "the inspector has no reply");
    }
    const ipc::ReplyPart& part = said.reply_part();
    if (part.data().size() > kMaxInspected - query->text.size())
        return fail_query(context, ipc::TOO_LARGE, 0, "the inspector's reply is too large");
    query->text += part.data();
    if (part.last()) give(context);
}

void give_up_inspecting(const Context& context) {
    fail_query(context, ipc::LATE, 0, "the inspector has no reply");
}

}  // namespace sallyport::broker
