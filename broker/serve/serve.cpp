// Runs in:  broker, after lockdown()
// Input:    frames of workers, reports of the nursery, connections
// INVARIANT: each number is used for one worker only. The next worker starts only after the nursery has reported the end of the
// last.
#include "broker/serve/serve.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "base/clock.hpp"
#include "base/secret.hpp"
#include "broker/serve/file_work.hpp"
#include "broker/serve/loop.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::broker {

namespace {

constexpr int kChannelLostStatus = 3;   // exit status of a worker whose device is gone
constexpr std::size_t kMaxWaiting = 2;  // hosts that are accepted while another is served, like qemu-ga
constexpr int kChannelLostTimes = 3;    // after this many in a row it is believed

FdRef host(const Loop& loop) {
    return loop.service.channel.listens() ? FdRef(loop.connection) : FdRef(loop.service.channel.fd);
}

// Whether the host can neither send nor read any more. A host that has only shut down its sending side may still read replies.
bool has_gone(FdRef connection) {
    pollfd wanted{.fd = connection.get(), .events = 0, .revents = 0};  // POLLHUP is always reported
    const timespec at_once{};
    return ::ppoll(&wanted, 1, &at_once, nullptr) == 1;
}

void start_next(Loop& loop) {
    Service& service = loop.service;
    auto worker = start_worker(service.nursery, loop.next_number, host(loop), service.session.arena);
    if (!worker) return stop(loop, 1, worker.error().what, worker.error().sys_errno);
    loop.worker = *std::move(worker);
    loop.started_ns = boottime_ns();
    loop.stage = Stage::kRunning;
    loop.had_violation = false;
    loop.was_killed = false;
    service.session.worker = WorkerState{.number = loop.next_number++};
}

// A new arena, so that no contents of one connection are visible in another.
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

// THREAT: strangers fill the backlog, so that permitted hosts cannot connect. All connections are accepted, and permitted ones
// may wait.
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

// A failure to store the time is logged once a minute.
void look_at_clock(Loop& loop) {
    ExpiryClock& clock = loop.service.session.clock;
    clock.look(read_clocks());
    const int fault = loop.service.audit.keep_time(clock.now().latest);
    if (fault == 0) return;
    Record record;
    record.what = "clock-not-kept";
    record.reason = "sallyport.clock or sallyport.budgets cannot be written";
    record.sys_errno = fault;
    loop.service.audit.write(record);
}

// Neither the frame nor what was made of it is kept; the order for the launcher has the one copy that is left.
void forget_secret(Wire& wire) {
    ipc::wipe(wire.frame);
    wipe(wire.bytes);
    wire.request.Clear();  // frees it, and what is freed is wiped
    wipe_stack();
}

void hear_worker(Loop& loop) {
    const auto received = ipc::receive(loop.worker.socket, loop.wire.frame);
    if (!received) {
        if (received.error().code == Errc::kLimit) return end_worker(loop, {received.error().what});
        // The worker is about to end, or pretends to be.
        return close_worker(loop);
    }
    if (!*received) return;
    if (loop.alone_until_ns && ++loop.alone_frames > kAloneFrames) return end_alone(loop);
    if (const auto violation = handle_frame(context_of(loop), loop.wire)) end_worker(loop, *violation);
    if (loop.wire.request.has_set_user_password()) forget_secret(loop.wire);
}

// An honest worker notices by itself and ends.
//
// THREAT: one that was taken over stays, and no other host is served. It is killed after a while; until then its frames are
// limited.
void note_gone_host(Loop& loop) {
    loop.alone_until_ns = boottime_ns() + kAloneMs * kNsPerMs;
    loop.alone_frames = 0;
}

// It says nothing any more, its children do.
void hear_inspector(Loop& loop) {
    const auto heard = ipc::receive(loop.service.session.inspector.socket(), loop.wire.frame);
    if (heard && !*heard) return;
    stop(loop, 1, "the inspector is lost", heard ? 0 : heard.error().sys_errno);
}

void hear_inspectors_child(Loop& loop) {
    const auto heard = ipc::receive(loop.service.session.inspector.child(), loop.wire.frame);
    if (!heard) return hear_inspectors_child_end(context_of(loop));
    if (*heard) take_inspected(context_of(loop), loop.wire.frame.bytes);
}

// The connection is over: of its contents nothing is left.
void forget_host(Loop& loop) {
    loop.connection.reset();
    loop.service.session.files_hand.forget_arena();
    loop.service.session.arena = {};
}

void after_worker(Loop& loop, const ipc::WorkerEnded& ended) {
    Record record;
    record.what = "worker-ended";
    record.session = loop.worker.number;
    record.arguments.add("exit_status", std::int64_t{ended.exit_status()});
    record.arguments.add("signal", std::int64_t{ended.signal()});
    loop.service.audit.write(record);
    close_worker(loop);
    loop.alone_until_ns.reset();
    const bool is_gone = has_gone(loop.connection);
    // An honest worker ends with its host, or is killed then because it is slow.
    const bool is_honest = !loop.had_violation && (ended.exit_status() == 0 || (loop.was_killed && is_gone));
    const bool is_over = loop.service.channel.listens() && (is_honest || is_gone);
    if (is_over) forget_host(loop);
    if (is_over && is_honest) {
        loop.stage = Stage::kNoHost;
        return;
    }
    loop.channel_lost = ended.exit_status() == kChannelLostStatus ? loop.channel_lost + 1 : 0;
    if (loop.channel_lost == kChannelLostTimes) return stop(loop, 1, "the channel is lost");
    const std::int64_t now = boottime_ns();
    loop.due_ns = now + loop.backoff.after(now - loop.started_ns) * kNsPerMs;
    loop.stage = Stage::kPause;
}

void hear_nursery_report(Loop& loop) {
    const auto report = hear_nursery(loop.service.nursery);
    if (!report) return stop(loop, 1, "the nursery is lost", report.error().sys_errno);
    if (!*report) return;
    const bool has_worker = loop.stage == Stage::kRunning || loop.stage == Stage::kEnding;
    const bool is_expected =
        (*report)->has_worker_ended() && has_worker && (*report)->worker_ended().id() == loop.worker.number;
    if (!is_expected) return stop(loop, 1, "the nursery broke its contract");
    after_worker(loop, (*report)->worker_ended());
}

// The next deadline, if no event comes before.
std::optional<std::int64_t> next_due(const Loop& loop) {
    if (loop.leaving) return loop.leave_ns;
    std::optional<std::int64_t> first = first_due(loop.service.session);
    const auto consider = [&](std::int64_t due) { first = std::min(due, first.value_or(due)); };
    if (const auto due = loop.service.session.files_hand.first_due()) consider(*due);
    if (const auto due = loop.service.session.inspector.due_ns()) consider(*due);
    if (loop.stage == Stage::kPause || loop.stage == Stage::kEnding) consider(loop.due_ns);
    if (loop.stage == Stage::kRunning && loop.alone_until_ns) consider(*loop.alone_until_ns);
    return first;
}

std::optional<timespec> time_left(const Loop& loop) {
    const auto due = next_due(loop);
    if (!due) return std::nullopt;
    const std::int64_t left = std::max<std::int64_t>(0, *due - boottime_ns());
    return timespec{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
}

// Ends or continues a request whose deadline has passed. False if there is none.
bool end_late_request(Loop& loop, std::int64_t now) {
    Session& session = loop.service.session;
    if (session.launch && is_late(session.launch->request, now)) return begin_late_launch(loop), true;
    if (session.programs.start && is_late(session.programs.start->request, now))
        return give_up_program_start(context_of(loop)), true;
    if (session.worker.status && is_late(session.worker.status->request, now))
        return end_status_wait(context_of(loop)), true;
    if (session.accounts.work && is_late(session.accounts.work->request, now))
        return give_up_account(context_of(loop)), true;
    if (session.settings.under_way && is_late(session.settings.under_way->request, now))
        return give_up_setting(context_of(loop)), true;
    if (session.files_hand.first_due().value_or(now + 1) <= now) return hear_clerks(context_of(loop)), true;
    if (end_late_work(context_of(loop), now)) return true;
    if (end_late_order(context_of(loop), now)) return true;
    if (session.worker.query && is_late(session.worker.query->request, now))
        return give_up_inspecting(context_of(loop)), true;
    if (session.inspector.due_ns().value_or(now + 1) > now) return false;
    session.inspector.end_child();
    return true;
}

void do_what_is_due(Loop& loop) {
    look_at_clock(loop);
    const std::int64_t now = boottime_ns();
    if (loop.leaving) {
        if (now >= loop.leave_ns) loop.exit_status = loop.leaving;
        return;
    }
    if (end_late_request(loop, now)) return;
    if (loop.stage == Stage::kRunning && now >= loop.alone_until_ns.value_or(now + 1)) return end_alone(loop);
    if (now < loop.due_ns) return;
    if (loop.stage == Stage::kEnding) return kill(loop);
    if (loop.stage != Stage::kPause) return;
    if (host(loop).get() >= 0) return start_next(loop);
    loop.stage = Stage::kNoHost;
}

// SIGHUP means that the log was renamed.
void hear_signal(Loop& loop) {
    signalfd_siginfo info{};
    if (::read(loop.service.signals.get(), &info, sizeof info) != sizeof info) return;
    if (info.ssi_signo == SIGHUP) return loop.service.audit.reopen();
    stop(loop, 0, "told to stop");
}

void hear_files_parent(Loop& loop) {
    const auto fault = loop.service.session.files_hand.hear_parent();
    if (!fault) return stop(loop, 1, "the files hand is lost", fault.error().sys_errno);
    const Context context = context_of(loop);
    if (*fault != 0)
        refuse_waiting(context,
                       {.reason = ipc::SYSTEM, .sys_errno = *fault, .why = "no clerk can be started"});
    else
        give_out(context);
}

void hear_recorder(Loop& loop) {
    if (const auto heard = loop.service.audit.hear(); !heard)
        return stop(loop, 1, "the recorder of the audit log is lost", heard.error().sys_errno);
}

// A descriptor to poll, and the function that handles it.
struct PollRow {
    int fd;  // -1: not now
    void (*hear)(Loop& loop);
    short events = POLLIN;
};

// In order of handling: a worker's last frames come before the report of its end.
auto rows_of(const Loop& loop) {
    const Service& service = loop.service;
    const bool stays = !loop.leaving;
    const bool runs = loop.stage == Stage::kRunning && stays;
    // A worker that has not sent Hello has read nothing from the host yet, and may be slow.
    const bool watches = runs && !loop.alone_until_ns && service.session.worker.has_greeted;
    const bool accepts = service.channel.listens() && loop.waiting.size() < kMaxWaiting && stays;
    const auto only_if = [](bool condition, FdRef fd) { return condition ? fd.get() : -1; };
    return std::array{
        PollRow{only_if(stays, service.signals), hear_signal},
        PollRow{service.session.freezing.guard.get(), hear_guard_report},
        PollRow{only_if(watches, loop.connection), note_gone_host, 0},
        PollRow{only_if(runs, loop.worker.socket), hear_worker},
        PollRow{only_if(stays, service.nursery), hear_nursery_report},
        PollRow{only_if(accepts, service.channel.fd), accept_next},
        PollRow{service.launcher.get(), hear_launcher_report},
        PollRow{only_if(stays, service.session.inspector.child()), hear_inspectors_child},
        PollRow{only_if(stays, service.session.inspector.socket()), hear_inspector},
        PollRow{only_if(stays, service.session.files_hand.parent()), hear_files_parent},
        PollRow{only_if(stays, service.audit.recorder()), hear_recorder},
    };
}

// THREAT: somebody sends frames all the time, so that nothing due is ever done. So deadlines come first.
void wait_and_hear(Loop& loop) {
    if (const auto due = next_due(loop); due && boottime_ns() >= *due) return do_what_is_due(loop);
    const auto rows = rows_of(loop);
    std::vector<pollfd>& wanted = loop.wanted;
    wanted.clear();
    for (const PollRow& row : rows) wanted.push_back({.fd = row.fd, .events = row.events, .revents = 0});
    loop.service.session.files_hand.add_at_work(wanted);
    const auto left = time_left(loop);
    if (sandbox::wait_quietly(wanted, left ? &*left : nullptr) < 0) {
        if (errno != EINTR) stop(loop, 1, "ppoll", errno);
        return;
    }
    const auto ready = std::ranges::find_if(wanted, [](const pollfd& one) { return one.revents != 0; });
    if (ready == wanted.end()) return do_what_is_due(loop);
    look_at_clock(loop);
    const auto number = static_cast<std::size_t>(ready - wanted.begin());
    if (number < rows.size()) return rows[number].hear(loop);
    hear_clerks(context_of(loop));
}

}  // namespace

void begin(Loop& loop) {
    if (!loop.service.channel.listens()) begin_host(loop);
}

// Hooks become due after a frame, or when the launcher is free again.
void turn(Loop& loop) {
    wait_and_hear(loop);
    if (loop.service.session.worker.is_deaf) end_worker(loop, {"the worker does not read its replies"});
    if (loop.exit_status) return;
    begin_launch(loop);
    serve_next(loop);
    if (loop.leaving && !loop.service.session.freezing.is_frozen) loop.exit_status = loop.leaving;
}

void end(Loop& loop) {
    abandon_all(loop.service.session, loop.service.audit);
    // After the last line of all there may have been more.
    loop.service.audit.write_counts();
}

int serve(Service& service) {
    Loop loop{.service = service};
    begin(loop);
    while (!loop.exit_status) turn(loop);
    end(loop);
    return *loop.exit_status;
}

}  // namespace sallyport::broker
