// Answers every read-only command: asks the inspector, counts the bytes of its reply and passes them on to the worker.
// Runs in:  broker, after lockdown()
// Input:    canonical requests without arguments; bytes from the inspector, which may have been taken over by a name that a guest
// user chose
// INVARIANT: nobody here looks into these bytes. They reach the worker under the number and the command of its own request. The
// worker believes nothing in them (worker/inspected.hpp).
#include <algorithm>
#include <array>

#include "broker/serve/answer.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

void fail_query(const Context& context, ipc::Reason reason, int sys_errno, const char* why) {
    take_back(context.session.worker.query)
        .refuse(context, {.reason = reason, .sys_errno = sys_errno, .why = why});
}

// Only errors of the guest itself have an errno.
void pass_on_failure(const Context& context, const ipc::QueryFailed& said) {
    constexpr std::array kOfTheInspector{ipc::LATE, ipc::CRASHED, ipc::TOO_LARGE};
    if (said.reason() == ipc::NO_BLOCKS || said.reason() == ipc::SYSTEM)
        return fail_query(context, said.reason(), said.sys_errno(), "the guest cannot say");
    const bool is_known = std::ranges::find(kOfTheInspector, said.reason()) != kOfTheInspector.end();
    fail_query(context, is_known ? said.reason() : ipc::CRASHED, 0, "the inspector has no reply");
}

// The reply is complete.
void pass_on(const Context& context) {
    WorkerState& worker = context.session.worker;
    std::string text = std::move(worker.query->text);
    Request request = take_back(worker.query);
    request.record.bytes = text.size();
    if (text.size() <= kInspectedPart) {
        Reply reply;
        reply.mutable_relayed()->set_command(static_cast<std::uint32_t>(*request.command()));
        *reply.mutable_relayed()->mutable_inspected() = std::move(text);
        return request.complete(context, std::move(reply));
    }
    request.due_ns = 0;
    Reply answer;
    answer.mutable_relayed()->set_command(static_cast<std::uint32_t>(*request.command()));
    const std::uint64_t size = text.size();
    worker.read = Read{
        .request = std::move(request), .text = std::move(text), .answer = std::move(answer), .wanted = size};
    send_parts(context);
}

}  // namespace

Answer answer_inspect(Exchange& exchange) {
    Session& session = exchange.session;
    ipc::InspectorRequest asked;
    ipc::Query& query = *asked.mutable_query();
    query.set_number(++session.queries);
    query.set_command(static_cast<std::uint32_t>(*exchange.request.command()));
    query.set_now(session.clock.now());
    std::string frame;
    ipc::encode(asked, frame);
    if (!ipc::send(session.inspector, frame, ipc::WhenFull::kFail))
        return Refusal{.reason = ipc::CRASHED, .why = "the inspector does not take the query"};
    exchange.request.due_ns = boottime_ns() + std::int64_t{kInspectorLateMs} * 1'000'000;
    session.worker.query = Query{.request = std::move(exchange.request), .number = session.queries};
    return Later{};
}

void take_inspected(const Context& context, const ipc::InspectorReply& said) {
    std::optional<Query>& query = context.session.worker.query;
    const std::uint64_t number =
        said.has_reply_part() ? said.reply_part().query() : said.query_failed().query();
    // It answers a query whose worker has ended, or whose deadline has passed; nobody wants that any more.
    if (!query || number != query->number) return;
    if (said.has_query_failed()) return pass_on_failure(context, said.query_failed());
    const ipc::ReplyPart& part = said.reply_part();
    if (part.data().size() > kMaxInspected - query->text.size())
        return fail_query(context, ipc::TOO_LARGE, 0, "the inspector's reply is too large");
    query->text += part.data();
    if (part.last()) pass_on(context);
}

void give_up_inspecting(const Context& context) {
    fail_query(context, ipc::LATE, 0, "the inspector has no reply");
}

}  // namespace sallyport::broker
