// Answers every read-only command: asks a child of the inspector, counts the bytes of its reply and passes them on to the worker.
// Runs in:  broker, after lockdown()
// Input:    canonical requests without arguments; bytes from the child, which may have been taken over by a name that a guest
// user chose
// INVARIANT: only the first byte of a frame and an errno are looked at here. They reach the worker under the number
// and the command of its own request. The worker believes nothing in them (worker/inspected.hpp).
#include <cstring>

#include "broker/serve/answer.hpp"
#include "ipc/inspected.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

constexpr const char* kNoReply = "the inspector has no reply";

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

ipc::Query query_of(const Session& session, const Request& request) {
    ipc::Query query;
    query.set_command(static_cast<std::uint32_t>(*request.command()));
    query.set_latest(session.clock.now().latest);
    query.set_wall(session.clock.now().wall);
    return query;
}

// Ends the query without a reply. The child is free again, if there still is one.
void fail_query(const Context& context, const Refusal& refusal) {
    context.session.inspector.set_free();
    // The worker that asked may have ended.
    if (context.session.worker.query) take_back(context.session.worker.query).refuse(context, refusal);
}

void take_part(const Context& context, std::string_view part, bool is_last) {
    Session& session = context.session;
    if (is_last ? part.size() > kInspectedPart : part.size() != kInspectedPart)
        return lose_inspectors_child(context);
    if (!session.inspector.counts(part.size())) {
        session.inspector.end_child();
        return fail_query(context, {.reason = ipc::TOO_LARGE, .why = "the inspector's reply is too large"});
    }
    if (is_last) session.inspector.set_free();
    if (!session.worker.query) return;
    session.worker.query->text += part;
    if (is_last) pass_on(context);
}

// THREAT: the child sends a number that is no errno.
void take_errno(const Context& context, std::string_view bytes) {
    constexpr std::int32_t kMostErrno = 4095;
    std::int32_t sys_errno = 0;
    if (bytes.size() == ipc::kErrnoSize) std::memcpy(&sys_errno, bytes.data(), sizeof sys_errno);
    if (sys_errno < 1 || sys_errno > kMostErrno) return lose_inspectors_child(context);
    fail_query(context, {.reason = ipc::SYSTEM, .sys_errno = sys_errno, .why = "the guest cannot say"});
}

// The query's subject was replaced since the child was born, or the child has ended: another child must answer.
void ask_another(const Context& context) {
    Session& session = context.session;
    session.inspector.end_child();
    if (!session.worker.query) return;
    if (!session.inspector.ask(query_of(session, session.worker.query->request)))
        fail_query(context, {.reason = ipc::CRASHED, .why = kNoReply});
}

}  // namespace

Answer answer_inspect(Exchange& exchange) {
    Session& session = exchange.session;
    if (!session.inspector.ask(query_of(session, exchange.request)))
        return Refusal{.reason = ipc::CRASHED, .why = "the inspector does not take the query"};
    exchange.request.due_ns = boottime_ns() + std::int64_t{kInspectMs} * 1'000'000;
    session.worker.query = Query{.request = std::move(exchange.request)};
    return Later{};
}

void take_inspected(const Context& context, std::string_view frame) {
    using enum ipc::Word;
    const Inspector& inspector = context.session.inspector;
    const std::string_view rest = frame.substr(1);
    if (!inspector.is_at_work()) return lose_inspectors_child(context);
    switch (static_cast<ipc::Word>(frame.front())) {
        case kMore:
            return take_part(context, rest, false);
        case kLast:
            return take_part(context, rest, true);
        case kSystem:
            return take_errno(context, rest);
        case kNoBlocks:
            return fail_query(context, {.reason = ipc::NO_BLOCKS, .why = "the guest cannot say"});
        case kTooLarge:
            return fail_query(context, {.reason = ipc::TOO_LARGE, .why = kNoReply});
        case kNoRoom:
            return give_up_inspecting(context);
        case kOutdated:
            if (inspector.may_pass_over()) return ask_another(context);
            break;
    }
    lose_inspectors_child(context);
}

void lose_inspectors_child(const Context& context) {
    Inspector& inspector = context.session.inspector;
    const bool owes = inspector.is_at_work();
    inspector.end_child();
    if (owes) fail_query(context, {.reason = ipc::CRASHED, .why = kNoReply});
}

void hear_inspectors_child_end(const Context& context) {
    if (context.session.inspector.may_pass_over()) return ask_another(context);
    lose_inspectors_child(context);
}

void give_up_inspecting(const Context& context) {
    context.session.inspector.end_child();
    fail_query(context, {.reason = ipc::LATE, .why = kNoReply});
}

}  // namespace sallyport::broker
