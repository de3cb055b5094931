// What hosts want done to passwords and keys of users: decided here once more, and done by a child each, which may be given up.
// Runs in:  launcher
// Input:    orders of a broker that may have been taken over; frames of the children
#include "broker/accounts/errands.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "base/secret.hpp"
#include "broker/accounts/child.hpp"
#include "broker/supervisor/supervise.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"
#include "policy/accounts.hpp"

namespace sallyport::accounts {

namespace {

using ipc::AccountDone;
using ipc::AccountOrder;
using policy::AccountMiss;
using supervisor::now_ms;

std::unexpected<Error> unfit(const char* what) {
    return failure(Errc::kInvalid, what);
}

AccountDone ended_as(std::uint64_t number, AccountDone::Kind kind, int status = 0) {
    AccountDone done;
    done.set_number(number);
    done.set_kind(kind);
    done.set_status(status);
    return done;
}

// What the order means; nothing if it is none.
std::optional<policy::AccountRequest> request_of(const AccountOrder& order) {
    policy::AccountRequest want{.user = order.user()};
    switch (order.work_case()) {
        case AccountOrder::kPassword:
            want.secret = order.password().secret();
            want.crypted = order.password().crypted();
            return want;
        case AccountOrder::kList:
            want.command = CommandId::kSshGetAuthorizedKeys;
            return want;
        case AccountOrder::kAdd:
            want.command = CommandId::kSshAddAuthorizedKeys;
            want.keys.assign(order.add().lines().begin(), order.add().lines().end());
            want.reset = order.add().reset();
            return want;
        case AccountOrder::kRemove:
            want.command = CommandId::kSshRemoveAuthorizedKeys;
            want.keys.assign(order.remove().lines().begin(), order.remove().lines().end());
            if (order.remove().reset()) return std::nullopt;
            return want;
        case AccountOrder::WORK_NOT_SET:
            break;
    }
    return std::nullopt;
}

// What chpasswd reads, in a pipe that has room for it, so that nobody has to write it while the child lives.
UniqueFd line_of(const AccountOrder& order) {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return UniqueFd();
    UniqueFd line(ends[0]);
    const UniqueFd in(ends[1]);
    std::string text;
    text.reserve(order.user().size() + order.password().secret().size() + 2);
    text.append(order.user()).append(":").append(order.password().secret()).append("\n");
    if (::write(in.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) line.reset();
    wipe(text);
    return line;
}

bool is_within_bounds(const AccountDone& said) {
    return AccountDone::Kind_IsValid(said.kind()) && said.kind() != AccountDone::KIND_UNSPECIFIED &&
           (said.lines().empty() || said.kind() == AccountDone::DONE);
}

}  // namespace

Errands::Errands(const ipc::LauncherTable& table, const ExpiryClock& clock, FdRef broker)
    : table_(table), broker_(broker), clock_(clock) {}

Status Errands::start(AccountOrder& order) {
    if (order.number() <= last_ || order.template_() >= static_cast<std::uint32_t>(table_.accounts_size()))
        return unfit("no such template, or a number again");
    last_ = order.number();
    const ipc::AccountTemplate& by = table_.accounts(static_cast<int>(order.template_()));
    const auto want = request_of(order);
    if (!want) return unfit("an order for nothing");
    const AccountMiss miss = policy::match_account(by, *want, clock_.now());
    if (miss == AccountMiss::kTime) return tell(ended_as(order.number(), AccountDone::EXPIRED));
    if (miss != AccountMiss::kNothing)
        return unfit("an account or a change that the template does not cover");
    if (errands_.size() >= kMaxErrands)
        return tell(ended_as(order.number(), AccountDone::NOT_STARTED, EAGAIN));
    UniqueFd secret;
    if (order.has_password()) {
        secret = line_of(order);
        wipe(*order.mutable_password()->mutable_secret());
        wipe_stack();
        if (!secret.is_open()) return tell(ended_as(order.number(), AccountDone::NOT_STARTED, EMFILE));
    }
    return begin(by, order, std::move(secret));
}

Status Errands::begin(const ipc::AccountTemplate& by, const AccountOrder& order, UniqueFd secret) {
    auto [ours, theirs] = TRY(ipc::socket_pair());
    const pid_t launcher = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) return tell(ended_as(order.number(), AccountDone::NOT_STARTED, errno));
    if (pid == 0)
        run_child(by, order, {.report = theirs.get(), .secret = secret.get(), .launcher = launcher});
    UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    const int ms = order.has_password() ? kPasswordMs + 1000 : kKeysMs;
    errands_.push_back({.number = order.number(),
                        .report = std::move(ours),
                        .process = std::move(process),
                        .end_ms = now_ms() + ms});
    return {};
}

void Errands::add_to(std::vector<pollfd>& wanted) const {
    for (const Errand& one : errands_)
        wanted.push_back({.fd = one.report.get(), .events = POLLIN, .revents = 0});
}

int Errands::patience() const {
    std::int64_t first = -1;
    for (const Errand& one : errands_)
        if (!one.is_told && (first < 0 || one.end_ms < first)) first = one.end_ms;
    return first < 0 ? -1 : static_cast<int>(std::max<std::int64_t>(0, first - now_ms()));
}

// One frame, or the end. A child that ends without a word was killed: by its user, perhaps.
Status Errands::hear_one(Errand& errand) {
    ipc::Frame frame;
    AccountDone said;
    std::string scratch;
    const auto got = ipc::receive(errand.report, frame);
    if (got && !*got) return {};
    if (!got) errand.report.reset();
    if (errand.is_told) return {};
    errand.is_told = true;
    const bool is_word = got && ipc::decode(frame.bytes, said, scratch) && said.number() == errand.number &&
                         is_within_bounds(said);
    return tell(is_word ? said : ended_as(errand.number, AccountDone::KILLED));
}

Status Errands::end_late(Errand& errand) {
    errand.is_told = true;
    ::syscall(SYS_pidfd_send_signal, errand.process.get(), SIGKILL, nullptr, 0);
    return tell(ended_as(errand.number, AccountDone::LATE));
}

Status Errands::hear(const std::vector<pollfd>& ready) {
    for (const pollfd& one : ready) {
        if (one.revents == 0) continue;
        const auto at =
            std::ranges::find_if(errands_, [&](const Errand& e) { return e.report.get() == one.fd; });
        if (at != errands_.end()) TRY(hear_one(*at));
    }
    std::erase_if(errands_, [](const Errand& one) { return !one.report.is_open(); });
    for (Errand& one : errands_)
        if (!one.is_told && now_ms() >= one.end_ms) TRY(end_late(one));
    return {};
}

Status Errands::tell(AccountDone done) {
    ipc::LauncherReply reply;
    *reply.mutable_account_done() = std::move(done);
    return ipc::say(broker_, reply, ipc::WhenFull::kWait);
}

}  // namespace sallyport::accounts
