// The launcher: the only process that starts programs, and only those of its table.
// Runs in:  launcher
// Input:    the table on descriptor 3, before the broker's lockdown; then row numbers from the broker, and orders for programs and setters
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/clock.hpp"
#include "base/secret.hpp"
#include "broker/accounts/errands.hpp"
#include "broker/launcher/launcher.hpp"
#include "broker/setters/setters.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"
#include "policy/accounts.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::launcher {
namespace {

constexpr int kControl = 3;
constexpr int kQuietMs = 10;  // without work, until chores are done that would delay an order
using Words = google::protobuf::RepeatedPtrField<std::string>;

// THREAT: a broker that was taken over sends anything. A request is a few bytes in canonical form, and names a row.
Result<bool> receive(ipc::Frame& frame, google::protobuf::MessageLite& message, std::size_t limit) {
    std::string scratch;
    const auto got = ipc::receive(FdRef(kControl), frame);
    if (!got || !*got) return got;
    if (frame.bytes.size() > limit) return failure(Errc::kInvalid, "not a request");
    if (const auto decoded = ipc::decode(frame.bytes, message, scratch); !decoded)
        return std::unexpected(decoded.error());
    return true;
}

ipc::Outcome start(const Words& words, const ipc::LauncherTable& table) {
    return carry_out({.words = {words.begin(), words.end()}, .deadline_ms = table.deadline_ms()});
}

bool is_missing(const ipc::Outcome& outcome) {
    return outcome.kind() == ipc::Outcome::FAILED && outcome.number() == ENOENT;
}

bool is_possible(const ipc::Attempt& attempt, const ipc::LauncherTable& table) {
    if (!attempt.needs().empty() && !open_trusted(attempt.needs())) return false;
    if (attempt.program().empty()) return is_offered(attempt.kernel());
    if (attempt.probe().empty()) return true;
    const ipc::Outcome probed = start(attempt.probe(), table);
    const bool has_status = probed.kind() == ipc::Outcome::DONE || probed.kind() == ipc::Outcome::EXITED;
    return has_status && std::ranges::find(attempt.supported(), probed.number()) != attempt.supported().end();
}

// Returns the outcome of the first attempt that succeeds, or else of the last possible one.
ipc::Outcome carry_out_row(const ipc::LauncherRow& row, const ipc::LauncherTable& table) {
    ipc::Outcome last;
    last.set_kind(ipc::Outcome::UNSUPPORTED);
    for (int at = 0; at < row.attempts_size(); ++at) {
        const ipc::Attempt& attempt = row.attempts(at);
        if (!is_possible(attempt, table)) continue;
        ipc::Outcome outcome =
            attempt.program().empty()
                ? carry_out({.kernel = attempt.kernel(), .deadline_ms = table.deadline_ms()})
                : start(attempt.program(), table);
        if (is_missing(outcome)) continue;
        last = std::move(outcome);
        last.set_attempt(static_cast<std::uint32_t>(at));
        if (row.first_only() || last.kind() == ipc::Outcome::DONE) break;
    }
    return last;
}

Checked<void> check_program(const std::string& path) {
    const auto opened = open_trusted(path);
    if (opened || opened.error().error.sys_errno == ENOENT) return {};
    return std::unexpected(opened.error());
}

// Every program that exists must be safe to start; one that does not exist is skipped when its turn comes.
Checked<void> check_table(const ipc::LauncherTable& table, const HookPrograms& own) {
    for (const ipc::LauncherRow& row : table.rows())
        for (const ipc::Attempt& attempt : row.attempts())
            for (const Words* words : {&attempt.probe(), &attempt.program()})
                if (!words->empty()) TRY(check_program(words->Get(0)));
    for (const ipc::ExecTemplate& one : table.exec())
        if (!one.program().empty()) TRY(check_program(one.program()));
    if (!table.accounts().empty()) TRY(check_program(policy::kChpasswd));
    for (const std::string& hook : TRY(own.list())) TRY(open_trusted(hook));
    return {};
}

Result<ipc::Outcome> answer(const ipc::LauncherRequest& request, const ipc::LauncherTable& table,
                            HookPrograms& hooks) {
    if (request.op_case() == ipc::LauncherRequest::kHooks) {
        if (request.hooks() == ipc::LauncherRequest::FREEZE) return hooks.freeze();
        if (request.hooks() == ipc::LauncherRequest::THAW) return hooks.thaw();
    } else if (request.op_case() == ipc::LauncherRequest::kRow) {
        for (const ipc::LauncherRow& row : table.rows())
            if (row.number() == request.row()) return carry_out_row(row, table);
    }
    return failure(Errc::kInvalid, "no such row");
}

bool is_about_program(const ipc::LauncherRequest& request) {
    return request.has_exec_part() || request.has_exec_take() ||
           request.op_case() == ipc::LauncherRequest::kExecDrop;
}

// What the launcher does for its table.
struct Parts {
    const ipc::LauncherTable& table;
    HookPrograms& hooks;
    ExpiryClock clock{table.floor(), read_clocks()};  // shared by all that decide here
    Programs programs{table, clock};
    accounts::Errands errands{table, clock, FdRef(kControl)};
    setters::Setters setters{table, clock};
};

Status tell_set(const ipc::SetDone& done) {
    ipc::LauncherReply reply;
    *reply.mutable_set_done() = done;
    return tell(reply);
}

// The frame that brought the secret is wiped, too, before the child is forked.
Status hear_account(Parts& parts, ipc::AccountOrder& order, ipc::Frame& frame) {
    ipc::wipe(frame);
    const Status started = parts.errands.start(order);
    wipe_stack();
    return started;
}

Status hear_set(Parts& parts, const ipc::SetOrder& order) {
    const auto done = TRY(parts.setters.hear(order));
    return done ? tell_set(*done) : Status();
}

// A request is longer than a number only if the table has programs of a host, accounts or setters.
Status hear_broker(Parts& parts, ipc::Frame& frame) {
    ipc::LauncherRequest request;
    const ipc::LauncherTable& table = parts.table;
    const bool is_short = table.exec().empty() && table.accounts().empty() && table.sets().empty();
    if (!TRY(receive(frame, request, is_short ? kMaxLauncherRequest : kMaxFrame))) return {};
    parts.clock.look(read_clocks());
    if (is_about_program(request)) return parts.programs.hear(request);
    if (request.has_account()) return hear_account(parts, *request.mutable_account(), frame);
    if (request.has_set()) return hear_set(parts, request.set());
    ipc::LauncherReply reply;
    *reply.mutable_outcome() = TRY(answer(request, parts.table, parts.hooks));
    return tell(reply);
}

// Returns milliseconds, or -1 for no limit.
int patience_of(const Parts& parts, int setters_ms) {
    int patience = parts.programs.has_chores() ? kQuietMs : -1;
    for (const int each : {parts.errands.patience(), setters_ms})
        if (each >= 0) patience = patience < 0 ? each : std::min(patience, each);
    return patience;
}

// Ends what is late before it hears the broker, which relies on that order.
Status serve(Parts& parts) {
    std::vector<pollfd> wanted;
    ipc::Frame frame;
    for (;;) {
        wanted.assign(1, {.fd = kControl, .events = POLLIN, .revents = 0});
        parts.programs.add_to(wanted);
        parts.errands.add_to(wanted);
        const int setters_ms = parts.setters.add_to(wanted);
        const int ready = ::poll(wanted.data(), wanted.size(), patience_of(parts, setters_ms));
        if (ready < 0) {
            if (errno == EINTR) continue;
            return system_error("poll");
        }
        if (ready == 0 && parts.programs.has_chores()) parts.programs.prepare();
        TRY(parts.programs.hear_supervisors(wanted));
        TRY(parts.errands.hear(wanted));
        for (const ipc::SetDone& done : parts.setters.look(wanted)) TRY(tell_set(done));
        while (::waitpid(-1, nullptr, WNOHANG) > 0) {
        }
        if (wanted.front().revents != 0) TRY(hear_broker(parts, frame));
    }
}

bool wait_for_table(ipc::LauncherTable& table) {
    pollfd wanted{.fd = kControl, .events = POLLIN, .revents = 0};
    ipc::Frame frame;
    return ::poll(&wanted, 1, -1) == 1 && receive(frame, table, kMaxFrame).value_or(false);
}

int run() {
    ipc::silence_protobuf();
    // A service manager that stops the whole service ends the broker, after which we run owed hooks and end, too. A child that waits for
    // an order may have been killed.
    sigset_t set;
    ::sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::sigaddset(&set, number);
    if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return 1;
    ipc::LauncherTable table;
    if (!wait_for_table(table)) return 1;
    HookPrograms hooks(table);
    if (const auto checked = check_table(table, hooks); !checked) {
        ::dprintf(STDERR_FILENO, "sallyport-launcher: a program or hook of the policy: %s\n",
                  text_of(checked.error()).c_str());
        return 1;
    }
    const sandbox::LauncherNeeds needs{.asks_kernel = table.asks_kernel(),
                                       .takes_users = table.takes_users(),
                                       .cuts_network = table.cuts_network()};
    if (const auto locked = sandbox::lockdown_launcher(needs); !locked) return 1;
    ipc::LauncherReply ready;
    ready.mutable_launcher_ready();
    if (const auto sent = tell(ready); !sent) return 1;
    Parts parts{.table = table, .hooks = hooks};
    const auto ended = serve(parts);
    if (hooks.is_thaw_owed()) hooks.thaw();
    return ended.error().code == Errc::kClosed ? 0 : 1;
}

}  // namespace

Status tell(const ipc::LauncherReply& reply) {
    return ipc::say(FdRef(kControl), reply, ipc::WhenFull::kWait);
}

}  // namespace sallyport::launcher

int main(int count, char** words) {
    const bool is_setter = count == 2 && words[1] == sallyport::setters::kWord;
    return is_setter ? sallyport::setters::run() : sallyport::launcher::run();
}
