// The programs that hosts have started: orders to the launcher about them, and its reports.
// Runs in:  broker, after lockdown(); the table before
// Input:    frames of the launcher
#include "broker/serve/programs.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "broker/serve/answer.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

std::unexpected<Error> unfit() {
    return failure(Errc::kInvalid, "launcher: unexpected frame");
}

std::uint64_t size_of(const Program& program) {
    return program.ended ? std::uint64_t{program.ended->out_size()} + program.ended->err_size() : 0;
}

bool is_in_use(const Session& session, std::int64_t number) {
    const WorkerState& worker = session.worker;
    return (worker.result && worker.result->number == number) ||
           (worker.read && worker.read->program == number);
}

// THREAT: a host starts program after program and never asks for a result. Results and their output are kept up to these bounds; beyond
// them the oldest is dropped.
void bound_unread(const Context& context) {
    Session& session = context.session;
    std::vector<std::int64_t> unread;
    std::uint64_t size = 0;
    for (const auto& [number, program] : session.programs.known) {
        if (!program.ended || !program.is_wanted || is_in_use(session, number)) continue;
        unread.push_back(number);
        size += size_of(program);
    }
    for (std::size_t at = 0; at < unread.size(); ++at) {
        const std::size_t left = unread.size() - at;
        if (left <= kMaxUnread && (size <= kMaxUnreadSize || left == 1)) return;
        size -= size_of(session.programs.known[unread[at]]);
        Record record{.what = "program-result-dropped",
                      .reason = "too many results that nobody has asked for"};
        record.arguments.add("pid", unread[at]);
        context.audit.write(record);
        forget_program(session, unread[at]);
    }
}

// How a program has ended, without its output.
Reply reply_of(const ipc::ExecEnded& ended) {
    Reply reply;
    schema::ExecStatusReply& status = *reply.mutable_exec_status();
    status.set_exited(true);
    if (ended.has_exit_code()) status.set_exitcode(ended.exit_code());
    if (ended.has_signal()) status.set_signal(ended.signal());
    if (ended.out_size() > 0) status.set_out_truncated(ended.out_truncated());
    if (ended.err_size() > 0) status.set_err_truncated(ended.err_truncated());
    return reply;
}

void answer_waiting(const Context& context, std::int64_t number) {
    std::optional<StatusWait>& wait = context.session.worker.status;
    if (wait && wait->number == number) give_result(context, take_back(wait), number);
}

void note_end(const Context& context, std::int64_t number, const Program& program) {
    const ipc::ExecEnded& ended = *program.ended;
    Record record{.what = "program-ended"};
    record.arguments.add("pid", number);
    if (ended.has_exit_code()) record.arguments.add("exitcode", std::int64_t{ended.exit_code()});
    if (ended.has_signal()) record.arguments.add("signal", std::int64_t{ended.signal()});
    if (ended.late()) record.arguments.add("max_runtime", "passed");
    record.arguments.add("out_size", std::int64_t{ended.out_size()});
    record.arguments.add("err_size", std::int64_t{ended.err_size()});
    const auto& rule = context.session.programs.templates[program.by].rule();
    record.rule = rule;
    context.audit.write(record);
}

Status hear_started(const Context& context, const ipc::ExecStarted& said) {
    Programs& programs = context.session.programs;
    const auto number = static_cast<std::int64_t>(said.number());
    const auto at = programs.known.find(number);
    if (at == programs.known.end() || at->second.ended || at->second.is_started) return unfit();
    const int error = said.sys_errno();
    at->second.is_started = error == 0;
    // Something may be left of a late program, until the launcher says that it has gone.
    at->second.is_wanted = at->second.is_wanted && error == 0;
    if (error != 0 && error != ETIMEDOUT) programs.known.erase(at);
    // It was given up.
    if (!programs.start || programs.start->number != number) return {};
    Request request = take_back(programs.start);
    if (error != 0) {
        Record record{.verdict = Verdict::kFailed, .what = "program-not-started", .sys_errno = error};
        record.arguments.add("pid", number);
        context.audit.write(record);
        request.refuse(context, {.reason = ipc::NOT_STARTED, .sys_errno = error, .why = "not started"});
        return {};
    }
    Reply reply;
    reply.mutable_exec()->set_pid(number);
    request.complete(context, std::move(reply));
    return {};
}

Status hear_ended(const Context& context, const ipc::ExecEnded& said) {
    Programs& programs = context.session.programs;
    const auto number = static_cast<std::int64_t>(said.number());
    const auto at = programs.known.find(number);
    if (at == programs.known.end() || at->second.ended || !at->second.is_started) return unfit();
    const std::uint32_t most = programs.templates[at->second.by].output();
    const bool is_how = said.how_case() != ipc::ExecEnded::HOW_NOT_SET;
    if (said.out_size() > most || said.err_size() > most || !is_how) return unfit();
    at->second.ended = said;
    at->second.is_gone = said.gone();
    note_end(context, number, at->second);
    if (!at->second.is_wanted) forget_program(context.session, number);
    answer_waiting(context, number);
    bound_unread(context);
    return {};
}

Status hear_gone(const Context& context, std::int64_t number) {
    Programs& programs = context.session.programs;
    const auto at = programs.known.find(number);
    if (at == programs.known.end() || at->second.is_gone) return unfit();
    Program& program = at->second;
    program.is_gone = true;
    if (program.is_wanted && !program.ended) {
        // Its supervisor was killed, and the program with it.
        if (programs.start && programs.start->number == number)
            take_back(programs.start)
                .refuse(context, {.reason = ipc::NOT_STARTED, .sys_errno = EIO, .why = "lost"});
        program.ended.emplace().set_signal(SIGKILL);
        note_end(context, number, program);
        answer_waiting(context, number);
        return {};
    }
    if (!program.is_wanted) programs.known.erase(at);
    return {};
}

// The whole output has arrived.
void pass_on(const Context& context) {
    WorkerState& worker = context.session.worker;
    const std::int64_t number = worker.result->number;
    std::string text = std::move(worker.result->text);
    Request request = take_back(worker.result);
    request.record.bytes = text.size();
    const ipc::ExecEnded& ended = *context.session.programs.known[number].ended;
    Reply reply = reply_of(ended);
    schema::ExecStatusReply& status = *reply.mutable_exec_status();
    if (text.size() <= kInspectedPart - 64) {
        if (ended.err_size() > 0) status.set_err_data(text.substr(0, ended.err_size()));
        if (ended.out_size() > 0) status.set_out_data(text.substr(ended.err_size()));
        forget_program(context.session, number);
        return request.complete(context, std::move(reply));
    }
    reply.set_err_size(ended.err_size());
    const std::uint64_t size = text.size();
    worker.read = Read{.request = std::move(request),
                       .text = std::move(text),
                       .answer = std::move(reply),
                       .program = number,
                       .wanted = size};
    send_parts(context);
}

// The worker that asked may have ended; another may want the same.
Status hear_output(const Context& context, const ipc::ExecOutput& said) {
    std::optional<ProgramResult>& result = context.session.worker.result;
    const auto asked_for = std::exchange(context.session.programs.asked_for, std::nullopt);
    if (!asked_for || asked_for->number() != said.number() || asked_for->offset() != said.offset())
        return unfit();
    const auto number = static_cast<std::int64_t>(said.number());
    if (!result || result->number != number || said.offset() != result->text.size()) return {};
    const std::uint64_t all = size_of(context.session.programs.known[number]);
    if (said.data().empty() || said.data().size() > all - result->text.size()) return unfit();
    result->text += said.data();
    result->is_next_due = true;
    if (result->text.size() == all) pass_on(context);
    return {};
}

}  // namespace

std::optional<ipc::LauncherRequest> next_program_order(Session& session) {
    Programs& programs = session.programs;
    std::optional<ProgramResult>& result = session.worker.result;
    ipc::LauncherRequest order;
    if (!programs.drops.empty()) {
        order.set_exec_drop(static_cast<std::uint64_t>(programs.drops.back()));
        programs.drops.pop_back();
        return order;
    }
    if (result && result->is_next_due && !programs.asked_for) {
        result->is_next_due = false;
        ipc::ExecTake& take = *order.mutable_exec_take();
        take.set_number(static_cast<std::uint64_t>(result->number));
        take.set_offset(static_cast<std::uint32_t>(result->text.size()));
        programs.asked_for = take;
        return order;
    }
    const bool is_busy = (session.launch && session.launch->is_told) || session.freezing.hooks_are_running();
    if (!programs.start || !programs.start->is_next_due || is_busy) return std::nullopt;
    ProgramStart& start = *programs.start;
    ipc::ExecPart& part = *order.mutable_exec_part();
    part.set_data(start.order.substr(start.told, kExecPart));
    start.told += part.data().size();
    start.is_next_due = false;
    part.set_last(start.told == start.order.size());
    // From here on the launcher must report if it does not start.
    if (part.last()) start.request.due_ns = boottime_ns() + 2 * kExecStartNs;
    return order;
}

bool is_about_program(const ipc::LauncherReply& said) {
    return said.has_exec_more() || said.has_exec_started() || said.has_exec_ended() ||
           said.has_exec_output() || said.op_case() == ipc::LauncherReply::kExecGone;
}

Status hear_program(const Context& context, const ipc::LauncherReply& said) {
    std::optional<ProgramStart>& start = context.session.programs.start;
    switch (said.op_case()) {
        case ipc::LauncherReply::kExecMore:
            if (!start || start->is_next_due || start->told == start->order.size()) return unfit();
            start->is_next_due = true;
            return {};
        case ipc::LauncherReply::kExecStarted:
            return hear_started(context, said.exec_started());
        case ipc::LauncherReply::kExecEnded:
            return hear_ended(context, said.exec_ended());
        case ipc::LauncherReply::kExecOutput:
            return hear_output(context, said.exec_output());
        case ipc::LauncherReply::kExecGone:
            return hear_gone(context, static_cast<std::int64_t>(said.exec_gone()));
        default:
            return unfit();
    }
}

void give_up_program_start(const Context& context) {
    Programs& programs = context.session.programs;
    ProgramStart& start = *programs.start;
    // The launcher waits for the next part: it must not be left with half of an order.
    if (start.told != 0 && start.told != start.order.size()) {
        start.request.due_ns += kExecStartNs;
        return;
    }
    const auto at = programs.known.find(start.number);
    SALLYPORT_CHECK(at != programs.known.end());
    if (start.told == 0)
        programs.known.erase(at);
    else
        at->second.is_wanted = false;
    take_back(programs.start)
        .refuse(context, {.reason = ipc::NOT_STARTED, .sys_errno = ETIMEDOUT, .why = "not started in time"});
}

void give_result(const Context& context, Request request, std::int64_t number) {
    Session& session = context.session;
    const ipc::ExecEnded ended = *session.programs.known[number].ended;
    request.due_ns = 0;
    request.record.arguments.add("pid", number);
    const std::string& id = session.programs.templates[session.programs.known[number].by].rule();
    const std::size_t rule = rule_named(session.policy, id);
    const std::uint64_t size = size_of(session.programs.known[number]);
    // The result is kept, until there are as many bytes again.
    if (bytes_left(session, rule, size) < size) return request.refuse(context, spent_bytes(request));
    take_bytes(context, rule, size);
    if (ended.out_size() == 0 && ended.err_size() == 0) {
        forget_program(session, number);
        return request.complete(context, reply_of(ended));
    }
    session.worker.result = ProgramResult{.request = std::move(request), .number = number, .text = {}};
}

void end_status_wait(const Context& context) {
    Reply reply;
    reply.mutable_exec_status();
    take_back(context.session.worker.status).complete(context, std::move(reply));
}

void forget_program(Session& session, std::int64_t number) {
    const auto at = session.programs.known.find(number);
    at->second.is_wanted = false;
    session.programs.drops.push_back(number);
    if (at->second.is_gone) session.programs.known.erase(at);
}

}  // namespace sallyport::broker
