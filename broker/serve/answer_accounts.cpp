// Answers guest-set-user-password, guest-ssh-get-authorized-keys, guest-ssh-add-authorized-keys and guest-ssh-remove-authorized-keys.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; names, secret and keys are still the worker's
// Relies on: policy/accounts.cpp for what may be done; the launcher, which decides the same again, for doing it
#include <cerrno>

#include "broker/serve/answer.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

using policy::AccountMiss;
using policy::AccountRequest;
using Items = google::protobuf::RepeatedPtrField<std::string>;

constexpr std::size_t kKeysShown = 4096;  // of the keys in the audit log

const char* why(AccountMiss miss) {
    switch (miss) {
        case AccountMiss::kUser:
            return "no rule is about this user";
        case AccountMiss::kTime:
            return "the rule for this user does not count now";
        case AccountMiss::kSecret:
            return "no password as the rule accepts it";
        case AccountMiss::kReset:
            return "the rule does not let all keys be replaced";
        case AccountMiss::kKeys:
            return "a key that the rule does not accept, or too many";
        case AccountMiss::kNothing:
            break;
    }
    check_failed();
}

// THREAT: keys are public, a password is not. Of that not even its length is written down.
void write_down(const AccountRequest& want, JsonLine& arguments) {
    arguments.add("user", want.user.substr(0, kMaxUserName));
    if (want.command == CommandId::kSetUserPassword) arguments.add("crypted", want.crypted ? "yes" : "no");
    if (want.keys.empty() && !want.reset) return;
    std::string text;
    for (const std::string_view key : want.keys) {
        if (text.size() > kKeysShown) break;
        text.append(text.empty() ? "" : "\n").append(key);
    }
    arguments.add("count", static_cast<std::int64_t>(want.keys.size()));
    arguments.add("keys", std::string_view(text).substr(0, kKeysShown));
    if (want.reset) arguments.add("reset", "yes");
}

void put(const AccountRequest& want, ipc::AccountOrder& order) {
    order.set_user(want.user.data(), want.user.size());
    if (want.command == CommandId::kSetUserPassword) {
        order.mutable_password()->set_secret(want.secret.data(), want.secret.size());
        order.mutable_password()->set_crypted(want.crypted);
    } else if (want.command == CommandId::kSshGetAuthorizedKeys) {
        order.mutable_list();
    } else {
        const bool is_add = want.command == CommandId::kSshAddAuthorizedKeys;
        ipc::AccountOrder::Keys& keys = is_add ? *order.mutable_add() : *order.mutable_remove();
        for (const std::string_view line : want.keys) keys.add_lines(line.data(), line.size());
        keys.set_reset(want.reset);
    }
}

// INVARIANT: nothing is begun before its request is in the audit log; the loop tells the launcher after that.
Answer answer(Exchange& exchange, const AccountRequest& want) {
    Session& session = exchange.session;
    Accounts& accounts = session.accounts;
    write_down(want, exchange.request.record.arguments);
    const auto decision = policy::decide_account(accounts.templates, want, session.clock.now());
    if (decision.at < 0) return Refusal{.reason = ipc::REFUSED, .why = why(decision.miss)};
    exchange.request.record.rule = accounts.templates[decision.at].rule();
    if (accounts.work)
        return Refusal{.reason = ipc::NOT_STARTED, .sys_errno = EBUSY, .why = "an earlier one is under way"};
    if (auto refusal = take_request(exchange, exchange.request.record.rule)) return *refusal;
    ipc::LauncherRequest request;
    ipc::AccountOrder& order = *request.mutable_account();
    order.set_number(++accounts.last);
    order.set_template_(static_cast<std::uint32_t>(decision.at));
    put(want, order);
    if (order.ByteSizeLong() > kMaxAccountOrder)
        return Refusal{.reason = ipc::NOT_STARTED, .sys_errno = E2BIG, .why = "more keys than fit"};
    exchange.request.write_ahead(exchange.context.audit);
    exchange.request.due_ns = boottime_ns() + kAccountTellNs;
    accounts.work = AccountWork{
        .request = std::move(exchange.request), .number = accounts.last, .order = std::move(request)};
    return Later{};
}

AccountRequest request_of(CommandId command, const std::string& user, const Items& keys) {
    AccountRequest want{.command = command, .user = user};
    want.keys.assign(keys.begin(), keys.end());
    return want;
}

AccountRequest request_of(const schema::SetUserPassword& asked) {
    return {.command = CommandId::kSetUserPassword,
            .user = asked.username(),
            .secret = asked.password(),
            .crypted = asked.crypted()};
}

AccountRequest request_of(const schema::SshGetAuthorizedKeys& asked) {
    return request_of(CommandId::kSshGetAuthorizedKeys, asked.username(), {});
}

AccountRequest request_of(const schema::SshAddAuthorizedKeys& asked) {
    AccountRequest want = request_of(CommandId::kSshAddAuthorizedKeys, asked.username(), asked.keys().item());
    want.reset = asked.reset();
    return want;
}

AccountRequest request_of(const schema::SshRemoveAuthorizedKeys& asked) {
    return request_of(CommandId::kSshRemoveAuthorizedKeys, asked.username(), asked.keys().item());
}

AccountRequest request_of(const ipc::Request& asked) {
    if (asked.has_set_user_password()) return request_of(asked.set_user_password());
    if (asked.has_ssh_get_authorized_keys()) return request_of(asked.ssh_get_authorized_keys());
    if (asked.has_ssh_add_authorized_keys()) return request_of(asked.ssh_add_authorized_keys());
    return request_of(asked.ssh_remove_authorized_keys());
}

}  // namespace

void describe_account(const Exchange& exchange, JsonLine& arguments) {
    write_down(request_of(exchange.asked), arguments);
}

Ruling judge_account(const Judging& by, const Exchange& exchange) {
    const auto decision =
        policy::decide_account(by.accounts, request_of(exchange.asked), exchange.session.clock.now());
    if (decision.at < 0) return {};
    return {.is_allowed = true, .rule = by.accounts[decision.at].rule()};
}

Answer answer_set_user_password(Exchange& exchange) {
    return answer(exchange, request_of(exchange.asked.set_user_password()));
}

Answer answer_ssh_get_authorized_keys(Exchange& exchange) {
    return answer(exchange, request_of(exchange.asked.ssh_get_authorized_keys()));
}

Answer answer_ssh_add_authorized_keys(Exchange& exchange) {
    return answer(exchange, request_of(exchange.asked.ssh_add_authorized_keys()));
}

Answer answer_ssh_remove_authorized_keys(Exchange& exchange) {
    return answer(exchange, request_of(exchange.asked.ssh_remove_authorized_keys()));
}

}  // namespace sallyport::broker
