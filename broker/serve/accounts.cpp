// What hosts want done to passwords and keys of users: what the launcher is told of it, and what it says.
// Runs in:  broker, after lockdown()
// Input:    frames of the launcher
#include "broker/serve/accounts.hpp"

#include <cerrno>

#include "base/secret.hpp"
#include "broker/serve/answer.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

using ipc::AccountDone;

bool is_password(const Request& request) {
    return request.op() == ipc::Request::kSetUserPassword;
}

// One text for every name that chpasswd does not take: the host is not told which users there are.
Refusal no_user(const Request& request) {
    if (is_password(request)) return {.reason = ipc::CHILD_EXITED, .why = "no such user", .exit_status = 1};
    return {.reason = ipc::NO_USER, .why = "no such user"};
}

Refusal about_file(const AccountDone& done, ipc::Reason reason, const char* why) {
    return {.reason = reason, .sys_errno = done.status(), .why = why, .file = done.file()};
}

Refusal refusal_of(const Request& request, const AccountDone& done) {
    switch (done.kind()) {
        case AccountDone::NO_USER:
            return no_user(request);
        case AccountDone::EXITED:
            return {.reason = ipc::CHILD_EXITED, .why = "chpasswd failed", .exit_status = done.status()};
        case AccountDone::NOT_READ:
            return about_file(done, ipc::KEYS_READ, "the keys cannot be read");
        case AccountDone::NO_DIRECTORY:
            return about_file(done, ipc::KEYS_DIRECTORY, "no directory for the keys");
        case AccountDone::NOT_WRITTEN:
            return about_file(done, ipc::KEYS_WRITE, "the keys cannot be written");
        case AccountDone::TOO_MANY:
            return {.reason = ipc::REFUSED, .why = "more keys than the rule accepts"};
        case AccountDone::TOO_LARGE:
            return {.reason = ipc::TOO_LARGE, .why = "the file of the keys is too large"};
        case AccountDone::EXPIRED:
            return {.reason = ipc::REFUSED, .why = "the rule has expired"};
        case AccountDone::LATE:
            return {.reason = ipc::LATE, .why = "given up at its deadline"};
        case AccountDone::NOT_STARTED:
            return {.reason = ipc::NOT_STARTED, .sys_errno = done.status(), .why = "not started"};
        default:
            return {.reason = ipc::CHILD_KILLED, .why = "who did it was killed"};
    }
}

Reply reply_of(const Request& request, const AccountDone& done) {
    Reply reply;
    switch (request.op()) {
        case ipc::Request::kSetUserPassword:
            reply.mutable_set_user_password();
            break;
        case ipc::Request::kSshAddAuthorizedKeys:
            reply.mutable_ssh_add_authorized_keys();
            break;
        case ipc::Request::kSshRemoveAuthorizedKeys:
            reply.mutable_ssh_remove_authorized_keys();
            break;
        default:
            *reply.mutable_ssh_get_authorized_keys()->mutable_keys() = done.lines();
    }
    return reply;
}

// The request's own line was written before; this says what has come of it.
void note_end(const Context& context, const Request& request, const AccountDone& done) {
    const bool is_done = done.kind() == AccountDone::DONE;
    Record record;
    record.verdict = is_done ? Verdict::kNote : Verdict::kFailed;
    record.what = "account-ended";
    record.session = request.worker();
    record.sys_errno = done.kind() == AccountDone::EXITED ? 0 : done.status();
    record.arguments.add("request", static_cast<std::int64_t>(request.seq()));
    record.arguments.add("outcome", AccountDone::Kind_Name(done.kind()));
    if (done.kind() == AccountDone::EXITED) record.arguments.add("number", std::int64_t{done.status()});
    if (!done.file().empty()) record.arguments.add("file", done.file());
    context.audit.write(record);
}

}  // namespace

std::optional<ipc::LauncherRequest> next_account_order(Session& session) {
    const bool is_busy = (session.launch && session.launch->is_told) || session.freezing.hooks_are_running();
    std::optional<AccountWork>& work = session.accounts.work;
    if (!work || work->is_told || is_busy) return std::nullopt;
    work->is_told = true;
    work->request.due_ns = boottime_ns() + kAccountLateNs;
    return std::move(work->order);
}

void forget_order(ipc::LauncherRequest& order) {
    order.Clear();  // frees it, and what is freed is wiped
    wipe_stack();
}

Status hear_account(const Context& context, const AccountDone& done) {
    Accounts& accounts = context.session.accounts;
    if (done.number() == 0 || done.number() > accounts.last)
        return failure(Errc::kInvalid, "launcher: unexpected frame");
    // It was given up.
    if (!accounts.work || !accounts.work->is_told || accounts.work->number != done.number()) return {};
    Request request = take_back(accounts.work);
    note_end(context, request, done);
    if (done.kind() == AccountDone::DONE)
        request.complete(context, reply_of(request, done));
    else
        request.refuse(context, refusal_of(request, done));
    return {};
}

void give_up_account(const Context& context) {
    std::optional<AccountWork>& work = context.session.accounts.work;
    forget_order(work->order);
    AccountDone done;
    done.set_kind(AccountDone::LATE);
    Request request = take_back(work);
    note_end(context, request, done);
    request.refuse(context, refusal_of(request, done));
}

}  // namespace sallyport::broker
