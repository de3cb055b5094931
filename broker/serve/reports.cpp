// Handles the reports of guard and launcher, and the end of a worker and of the loop.
// Runs in:  broker, after lockdown()
// Input:    reports of the guard and the launcher
#include <cerrno>

#include "base/clock.hpp"
#include "broker/serve/launch.hpp"
#include "broker/serve/loop.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

constexpr int kThawMs = 1500;  // how long a stop waits for the guard's thaw

void note(Loop& loop, std::string_view what, const char* reason, int sys_errno) {
    Record record;
    record.what = what;
    record.session = loop.worker.number;
    record.reason = reason;
    record.sys_errno = sys_errno;
    loop.service.audit.write(record);
}

// THREAT: a host ends the guest before the record of who asked for it is on the disk.
bool has_line_on_disk(Loop& loop) {
    Audit& audit = loop.service.audit;
    Request& request = loop.service.session.launch->request;
    if (request.due_ns == 0) {
        audit.want_sync();
        request.due_ns = boottime_ns() + kLogPatienceNs;
    }
    return audit.is_synced() || (audit.goes_on() && is_late(request, boottime_ns()));
}

}  // namespace

void stop(Loop& loop, int exit_status, const char* reason, int sys_errno) {
    note(loop, "stop", reason, sys_errno);
    loop.service.notify.say("STOPPING=1\nSTATUS=stopping\n");
    if (!loop.service.session.freezing.is_frozen || !loop.service.session.freezing.guard.is_open()) {
        loop.exit_status = exit_status;
        return;
    }
    // The first deadline stands, even if another process is lost meanwhile.
    if (loop.leaving) return;
    // The guard would thaw without us, but then nobody would record it.
    order_thaw(loop.service.session.freezing);
    loop.leaving = exit_status;
    loop.leave_ns = boottime_ns() + kThawMs * kNsPerMs;
}

Context context_of(Loop& loop) {
    return {loop.service.session, loop.service.audit, loop.worker.socket, loop.wire.bytes};
}

void close_worker(Loop& loop) {
    loop.stage = Stage::kEnding;
    loop.worker.socket.reset();
    forget_worker(loop.service.session, loop.service.audit);
    loop.due_ns = boottime_ns() + kEndingMs * kNsPerMs;
}

void kill(Loop& loop) {
    close_worker(loop);
    loop.was_killed = true;
    if (const auto killed = kill_worker(loop.service.nursery, loop.worker.number); !killed)
        stop(loop, 1, "the nursery cannot be told to end a worker", killed.error().sys_errno);
}

void end_worker(Loop& loop, const Violation& violation) {
    Record record{.verdict = Verdict::kViolation, .what = "violation", .session = loop.worker.number};
    record.reason = violation.what;
    loop.service.audit.write(record);
    loop.had_violation = true;
    kill(loop);
}

void end_alone(Loop& loop) {
    note(loop, "worker-alone", "the worker goes on after its host has gone", 0);
    kill(loop);
}

void begin_late_launch(Loop& loop) {
    if (has_line_on_disk(loop)) return begin_launch(loop);
    ipc::Outcome outcome;
    outcome.set_kind(ipc::Outcome::FAILED);
    outcome.set_number(EIO);
    conclude_launch(context_of(loop), outcome);
}

void begin_launch(Loop& loop) {
    Session& session = loop.service.session;
    ipc::LauncherRequest request;
    while (const auto order = next_program_order(session))
        if (const auto told = tell_launcher(loop.service.launcher, *order); !told)
            return stop(loop, 1, "the launcher is lost", told.error().sys_errno);
    if (auto order = next_account_order(session)) {
        const auto told = tell_launcher(loop.service.launcher, *order);
        forget_order(*order);
        if (!told) return stop(loop, 1, "the launcher is lost", told.error().sys_errno);
    }
    if (const auto order = next_set_order(session))
        if (const auto told = tell_launcher(loop.service.launcher, *order); !told)
            return stop(loop, 1, "the launcher is lost", told.error().sys_errno);
    if (const auto hooks = hooks_to_begin(session)) {
        request.set_hooks(*hooks);
    } else if (session.launch && !session.launch->is_told && has_line_on_disk(loop)) {
        session.launch->is_told = true;
        session.launch->request.due_ns = 0;
        request.set_row(session.launch->row);
    } else {
        return;
    }
    if (const auto told = tell_launcher(loop.service.launcher, request); !told)
        stop(loop, 1, "the launcher is lost", told.error().sys_errno);
}

void hear_guard_report(Loop& loop) {
    const auto heard = hear_guard(context_of(loop));
    if (heard) return;
    loop.service.session.freezing.guard.reset();
    stop(loop, 1, "the guard is lost", heard.error().sys_errno);
}

void hear_launcher_report(Loop& loop) {
    const Session& session = loop.service.session;
    const auto report = hear_launcher(loop.service.launcher);
    if (!report) {
        loop.service.launcher.reset();
        return stop(loop, 1, "the launcher is lost", report.error().sys_errno);
    }
    if (!*report) return;
    if (is_about_program(**report)) {
        if (!hear_program(context_of(loop), **report)) stop(loop, 1, "the launcher broke its contract");
        return;
    }
    if ((*report)->has_account_done()) {
        if (!hear_account(context_of(loop), (*report)->account_done()))
            stop(loop, 1, "the launcher broke its contract");
        return;
    }
    if ((*report)->has_set_done()) {
        if (!hear_set(context_of(loop), (*report)->set_done()))
            stop(loop, 1, "the launcher broke its contract");
        return;
    }
    const bool has_hooks = session.freezing.hooks_are_running();
    if ((!session.launch && !has_hooks) || !(*report)->has_outcome())
        return stop(loop, 1, "the launcher broke its contract");
    if (has_hooks) return conclude_hooks(context_of(loop), (*report)->outcome());
    conclude_launch(context_of(loop), (*report)->outcome());
    // For hooks that waited for the launcher.
    begin_launch(loop);
}

}  // namespace sallyport::broker
