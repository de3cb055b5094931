// Ends requests: the line, then the answer.
// Runs in:  broker, after lockdown()
#include "broker/serve/request.hpp"

#include "broker/serve/session.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"

namespace sallyport::broker {

void Context::tell(const ipc::Reply& reply) const {
    if (!worker.is_open() || session.worker.is_deaf) return;
    ipc::encode(reply, bytes);
    const auto sent = ipc::send(worker, bytes, ipc::WhenFull::kFail);
    // The worker has just ended; hear_worker() will notice.
    if (!sent && sent.error().code != Errc::kClosed) session.worker.is_deaf = true;
}

Request::Request(const Origin& origin, std::string_view name)
    : record{.what = name, .session = origin.worker, .started_ns = boottime_ns()}, origin_(origin) {}

std::string Request::write_line(Audit& audit) {
    return std::exchange(has_line_, true) ? std::string() : audit.write(record);
}

void Request::answer(const Context& context, Reply& reply) const {
    // A worker's number is never used again.
    if (context.session.worker.number != worker()) return;
    reply.set_seq(seq());
    context.tell(reply);
}

void Request::complete(const Context& context, Reply reply) {
    duty_.close();
    write_line(context.audit);
    answer(context, reply);
}

void Request::refuse(const Context& context, const Refusal& refusal) {
    duty_.close();
    const bool is_policy = refusal.reason == ipc::REFUSED || refusal.reason == ipc::DISABLED ||
                           refusal.reason == ipc::FROZEN || refusal.reason == ipc::NOT_RECORDED ||
                           refusal.reason == ipc::SPENT;
    record.verdict = is_policy ? Verdict::kRefused : Verdict::kFailed;
    record.reason = refusal.why;
    record.sys_errno = refusal.sys_errno;
    if (!refusal.mount.empty()) record.arguments.add("mount", refusal.mount);
    const std::string denial = has_line_ ? refusal.denial : write_line(context.audit);
    Reply reply;
    ipc::Error& error = *reply.mutable_error();
    error.set_reason(refusal.reason);
    error.set_sys_errno(refusal.sys_errno);
    error.set_mount(refusal.mount);
    error.set_file(refusal.file);
    error.set_exit_status(refusal.exit_status);
    error.set_method(refusal.method);
    if (refusal.reason == ipc::REFUSED || refusal.reason == ipc::SPENT) error.set_denial(denial);
    answer(context, reply);
}

void Request::abandon(Audit& audit, const char* why) {
    duty_.close();
    record.verdict = Verdict::kFailed;
    record.reason = why;
    write_line(audit);
}

}  // namespace sallyport::broker
