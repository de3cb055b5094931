// The loop: hosts are accepted, workers started, their frames carried out, their ends dealt with.
// Runs in:  broker, after lockdown()
// Input:    frames of workers, reports of the nursery, connections
// INVARIANT: a worker's number is used once; a worker is followed by the next only after the nursery reported
// its end.
#include "broker/serve.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "broker/loop.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::broker {

namespace {

constexpr int kChannelLostStatus = 3;   // a worker's exit status: its device is gone
constexpr std::size_t kMaxWaiting = 2;  // hosts that are accepted while another is served, as with qemu-ga
constexpr int kChannelLostTimes = 3;    // so often in a row, and it is believed

FdRef host(const Loop& loop) {
    return loop.service.channel.listens() ? FdRef(loop.connection) : FdRef(loop.service.channel.fd);
}

void start_next(Loop& loop) {
    Service& service = loop.service;
    auto worker = start_worker(service.nursery.socket, loop.next_number, host(loop), service.session.arena);
    if (!worker) return stop(loop, 1, worker.error().what, worker.error().sys_errno);
    loop.worker = *std::move(worker);
    loop.started_ns = boottime_ns();
    loop.stage = Stage::kRunning;
    loop.had_violation = false;
    service.session.worker = WorkerState{.number = loop.next_number++};
}

// Contents of one connection are never where another can see them.
void begin_host(Loop& loop) {
    auto arena = ipc::Arena::create();
    if (!arena) return stop(loop, 1, arena.error().what, arena.error().sys_errno);
    loop.service.session.arena = *std::move(arena);
    start_next(loop);
}

void note_connection(Loop& loop, const Accepted& accepted) {
    Record record;
    record.what = accepted.fd.is_open() ? "connect" : "connect-refused";
    record.verdict = accepted.fd.is_open() ? Verdict::kNote : Verdict::kRefused;
    record.session = loop.next_number;
    record.arguments.add("peer", std::int64_t{accepted.peer});
    loop.service.audit.write(record);
}

// THREAT: strangers fill the backlog, so that those who may connect find no place. All are accepted, and those who may wait.
void accept_next(Loop& loop) {
    auto accepted = accept_host(loop.service.channel, loop.service.session.policy);
    if (!accepted) {
        const int error = accepted.error().sys_errno;
        if (error == EAGAIN || error == EINTR || error == ECONNABORTED) return;
        return stop(loop, 1, accepted.error().what, error);
    }
    if (accepted->fd.is_open())
        loop.waiting.push_back(*std::move(accepted));
    else
        note_connection(loop, *accepted);
}

void serve_next(Loop& loop) {
    if (loop.stage != Stage::kNoHost || loop.waiting.empty() || loop.leaving) return;
    note_connection(loop, loop.waiting.front());
    loop.connection = std::move(loop.waiting.front().fd);
    loop.waiting.erase(loop.waiting.begin());
    begin_host(loop);
}

// What cannot be kept is said once a minute. A frozen file system would hold us up.
void look_at_clock(Loop& loop) {
    Session& session = loop.service.session;
    session.clock.look(read_clocks());
    if (session.freezing.is_frozen) return;
    const auto kept = session.kept_time.keep(session.clock.now());
    if (kept) return;
    Record record;
    record.what = "clock-not-kept";
    record.reason = kept.error().what;
    record.sys_errno = kept.error().sys_errno;
    loop.service.audit.write(record);
}

void hear_worker(Loop& loop) {
    Wire& wire = loop.wire;
    const auto received = ipc::receive(loop.worker.socket, wire.frame);
    if (!received) {
        if (received.error().code == Errc::kLimit) return end_worker(loop, {received.error().what});
        // It is about to end, or pretends to be.
        loop.stage = Stage::kEnding;
        loop.worker.socket.reset();
        loop.due_ns = boottime_ns() + kEndingMs * kNsPerMs;
        return;
    }
    if (!*received) return;
    const SendReply send = reply_to(loop);
    const bool greets = loop.service.session.worker.phase == Phase::kGreeting;
    look_at_clock(loop);
    auto violation = handle_frame(loop.service.session, loop.service.audit, wire, send);
    if (loop.service.session.freezing.is_frozen) loop.service.audit.hold();
    if (!violation) violation = tell_frozen(loop.service.session, send);
    if (violation) return end_worker(loop, *violation);
    // What starting a worker took is not needed while it lives.
    if (greets) sandbox::forget_startup_code();
}

bool is_inspecting(const Loop& loop) {
    return loop.stage == Stage::kRunning && loop.service.session.worker.phase == Phase::kInspecting;
}

void go_on_inspecting(Loop& loop) {
    if (loop.stage != Stage::kRunning) return;
    if (const auto violation =
            handle_inspector(loop.service.session, loop.service.audit, loop.wire, reply_to(loop)))
        end_worker(loop, *violation);
}

void hear_inspector_reply(Loop& loop) {
    const auto heard = hear_inspector(loop.service.session.inspector, loop.wire.inspected);
    if (!heard) return stop(loop, 1, "the inspector is lost", heard.error().sys_errno);
    if (*heard) go_on_inspecting(loop);
}

// The inspector should have said so itself.
void give_up_inspecting(Loop& loop) {
    ipc::QueryFailed& late = *loop.wire.inspected.mutable_query_failed();
    late.set_query(loop.service.session.worker.transfer.query);
    late.set_reason(ipc::LATE);
    go_on_inspecting(loop);
}

// The connection is over: of its contents nothing is left, and nothing of our own is held that only the next needs.
void forget_host(Loop& loop) {
    loop.connection.reset();
    loop.stage = Stage::kNoHost;
    loop.service.session.arena = {};
    sandbox::forget_startup_code();
}

void after_worker(Loop& loop, const ipc::WorkerEnded& ended) {
    Record record;
    record.what = "worker-ended";
    record.session = loop.worker.number;
    record.arguments.add("exit_status", std::int64_t{ended.exit_status()});
    record.arguments.add("signal", std::int64_t{ended.signal()});
    loop.service.audit.write(record);
    conclude_lost(loop.service.session, loop.service.audit);
    loop.worker.socket.reset();
    const bool is_clean = ended.exit_status() == 0 && !loop.had_violation;
    if (is_clean && loop.service.channel.listens()) return forget_host(loop);
    loop.channel_lost = ended.exit_status() == kChannelLostStatus ? loop.channel_lost + 1 : 0;
    if (loop.channel_lost == kChannelLostTimes) return stop(loop, 1, "the channel is lost");
    const std::int64_t now = boottime_ns();
    loop.due_ns = now + loop.backoff.after(now - loop.started_ns) * kNsPerMs;
    loop.stage = Stage::kPause;
}

void hear_nursery_report(Loop& loop) {
    const auto report = hear_nursery(loop.service.nursery.socket);
    if (!report) return stop(loop, 1, "the nursery is lost", report.error().sys_errno);
    if (!*report) return;
    const bool has_worker = loop.stage == Stage::kRunning || loop.stage == Stage::kEnding;
    const bool is_expected =
        (*report)->has_worker_ended() && has_worker && (*report)->worker_ended().id() == loop.worker.number;
    if (!is_expected) return stop(loop, 1, "the nursery broke its contract");
    after_worker(loop, (*report)->worker_ended());
}

std::optional<std::int64_t> launch_due(const Loop& loop) {
    const auto& launch = loop.service.session.launch;
    if (!launch || launch->is_told || launch->due_ns == 0) return std::nullopt;
    return launch->due_ns;
}

// Without a due worker, query or power order nothing wakes us but the others.
std::optional<timespec> time_left(const Loop& loop) {
    const bool has_due = loop.stage == Stage::kPause || loop.stage == Stage::kEnding;
    const auto launch = launch_due(loop);
    if (!loop.leaving && !has_due && !launch && !is_inspecting(loop)) return std::nullopt;
    const std::int64_t due = loop.leaving ? loop.leave_ns
                             : has_due    ? loop.due_ns
                             : launch     ? *launch
                                          : loop.service.session.worker.transfer.due_ns;
    const std::int64_t left = std::max<std::int64_t>(0, due - boottime_ns());
    return timespec{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
}

void do_what_is_due(Loop& loop) {
    const std::int64_t now = boottime_ns();
    if (loop.leaving) {
        if (now >= loop.leave_ns) loop.exit_status = loop.leaving;
        return;
    }
    if (const auto launch = launch_due(loop); launch && now >= *launch) return begin_late_launch(loop);
    if (is_inspecting(loop) && now >= loop.service.session.worker.transfer.due_ns)
        return give_up_inspecting(loop);
    if (now < loop.due_ns) return;
    if (loop.stage == Stage::kPause) start_next(loop);
    if (loop.stage == Stage::kEnding) kill(loop);
}

// SIGHUP means that the log was renamed.
void hear_signal(Loop& loop) {
    signalfd_siginfo info{};
    if (::read(loop.service.signals.get(), &info, sizeof info) != sizeof info) return;
    if (info.ssi_signo == SIGHUP) return loop.service.audit.reopen();
    stop(loop, 0, "told to stop");
}

void hear_recorder(Loop& loop) {
    if (const auto heard = loop.service.audit.hear(); !heard)
        return stop(loop, 1, "the recorder of the audit log is lost", heard.error().sys_errno);
}

void wait_and_hear(Loop& loop) {
    const bool leaves = loop.leaving.has_value();
    const int worker = loop.stage == Stage::kRunning && !leaves ? loop.worker.socket.get() : -1;
    const bool accepts = loop.service.channel.listens() && loop.waiting.size() < kMaxWaiting && !leaves;
    const int listener = accepts ? loop.service.channel.fd.get() : -1;
    std::array wanted{
        pollfd{.fd = leaves ? -1 : loop.service.signals.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = worker, .events = POLLIN, .revents = 0},
        pollfd{.fd = leaves ? -1 : loop.service.nursery.socket.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = listener, .events = POLLIN, .revents = 0},
        pollfd{.fd = loop.service.session.freezing.guard.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = loop.service.launcher.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = leaves ? -1 : loop.service.session.inspector.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = leaves ? -1 : loop.service.audit.recorder().get(), .events = POLLIN, .revents = 0},
    };
    const auto left = time_left(loop);
    if (::ppoll(wanted.data(), wanted.size(), left ? &*left : nullptr, nullptr) < 0) {
        if (errno != EINTR) stop(loop, 1, "ppoll", errno);
        return;
    }
    if (wanted[0].revents != 0) return hear_signal(loop);
    if (wanted[4].revents != 0) return hear_guard_report(loop);
    // A worker's last frames come before the report of its end.
    if (wanted[1].revents != 0) return hear_worker(loop);
    if (wanted[2].revents != 0) return hear_nursery_report(loop);
    if (wanted[3].revents != 0) return accept_next(loop);
    if (wanted[5].revents != 0) return hear_launcher_report(loop);
    if (wanted[6].revents != 0) return hear_inspector_reply(loop);
    if (wanted[7].revents != 0) return hear_recorder(loop);
    do_what_is_due(loop);
}

}  // namespace

void begin(Loop& loop) {
    if (!loop.service.channel.listens()) begin_host(loop);
}

// Hooks are due after a frame, or after whatever kept the launcher busy.
void turn(Loop& loop) {
    wait_and_hear(loop);
    if (loop.exit_status) return;
    begin_launch(loop);
    serve_next(loop);
    if (loop.leaving && !loop.service.session.freezing.is_frozen) loop.exit_status = loop.leaving;
}

void end(Loop& loop) {
    conclude_lost(loop.service.session, loop.service.audit);
    conclude_waiting(loop.service.session, loop.service.audit);
}

int serve(Service& service) {
    Loop loop{.service = service};
    begin(loop);
    while (!loop.exit_status) turn(loop);
    end(loop);
    return *loop.exit_status;
}

}  // namespace sallyport::broker
