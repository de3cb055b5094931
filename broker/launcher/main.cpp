// The launcher: the only process that starts programs, and only those of its table.
// Runs in:  launcher
// Input:    before the broker's lockdown the table, on descriptor 3; afterwards row numbers from there
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "broker/launcher/launcher.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::launcher {
namespace {

constexpr int kControl = 3;
using Words = google::protobuf::RepeatedPtrField<std::string>;

// THREAT: a broker that was taken over sends anything. A request is a few bytes in one form, and means a row.
Result<bool> receive(google::protobuf::MessageLite& message, std::size_t limit) {
    ipc::Frame frame;
    std::string scratch;
    pollfd wanted{.fd = kControl, .events = POLLIN, .revents = 0};
    if (::poll(&wanted, 1, -1) < 0 && errno != EINTR) return system_error("poll");
    const auto got = ipc::receive(FdRef(kControl), frame);
    if (!got || !*got) return got;
    if (frame.bytes.size() > limit) return failure(Errc::kInvalid, "not a request");
    if (const auto decoded = ipc::decode(frame.bytes, message, scratch); !decoded)
        return std::unexpected(decoded.error());
    return true;
}

Status send(const ipc::LauncherReply& reply) {
    std::string bytes;
    ipc::encode(reply, bytes);
    return ipc::send(FdRef(kControl), bytes, ipc::WhenFull::kWait);
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

// The outcome of the first attempt that succeeds, else of the last that was possible.
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

// What is there must be safe to start; what is not there is left out when its turn comes.
Checked<void> check_table(const ipc::LauncherTable& table, const HookPrograms& own) {
    for (const ipc::LauncherRow& row : table.rows())
        for (const ipc::Attempt& attempt : row.attempts())
            for (const Words* words : {&attempt.probe(), &attempt.program()}) {
                if (words->empty()) continue;
                const auto opened = open_trusted(words->Get(0));
                if (!opened && opened.error().error.sys_errno != ENOENT)
                    return std::unexpected(opened.error());
            }
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

Status serve(const ipc::LauncherTable& table, HookPrograms& hooks) {
    for (;;) {
        ipc::LauncherRequest request;
        const auto got = receive(request, kMaxLauncherRequest);
        if (!got) return std::unexpected(got.error());
        if (!*got) continue;
        const auto outcome = answer(request, table, hooks);
        if (!outcome) return std::unexpected(outcome.error());
        ipc::LauncherReply reply;
        *reply.mutable_outcome() = *outcome;
        if (const auto sent = send(reply); !sent) return sent;
    }
}

int run() {
    ipc::silence_protobuf();
    // A service manager that ends the whole service reaches the broker, whose end is ours, after owed hooks.
    sigset_t set;
    ::sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&set, number);
    if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return 1;
    ipc::LauncherTable table;
    const auto got = receive(table, kMaxFrame);
    if (!got || !*got) return 1;
    HookPrograms hooks(table);
    if (const auto checked = check_table(table, hooks); !checked) {
        ::dprintf(STDERR_FILENO, "sallyport-launcher: a program or hook of the policy: %s\n",
                  text_of(checked.error()).c_str());
        return 1;
    }
    if (const auto locked = sandbox::lockdown_launcher(table.asks_kernel()); !locked) return 1;
    ipc::LauncherReply ready;
    ready.mutable_launcher_ready();
    if (const auto sent = send(ready); !sent) return 1;
    const auto ended = serve(table, hooks);
    if (hooks.is_thaw_owed()) hooks.thaw();
    return ended.error().code == Errc::kClosed ? 0 : 1;
}

}  // namespace
}  // namespace sallyport::launcher

int main() {
    return sallyport::launcher::run();
}
