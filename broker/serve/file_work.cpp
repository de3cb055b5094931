// Runs in:  broker, after lockdown()
#include "broker/serve/file_work.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "broker/files/order.hpp"
#include "broker/serve/under_way.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

using Slot = std::optional<FileWork>;

// The broker itself closes no file.
void close_opened(Session& session, ClerkReport& said) {
    if (!said.report.has_opened()) return;
    if (said.file.is_open())
        session.files_hand.close(std::move(said.file));
    else
        session.files_hand.close_kept(said.clerk);
}

Refusal refusal_of(const ipc::FailedReport& failed) {
    if (failed.sys_errno() == 0) return {.reason = ipc::REFUSED, .why = failed.why().c_str()};
    return {.reason = ipc::SYSTEM, .sys_errno = failed.sys_errno(), .why = failed.why().c_str()};
}

// The grants for where the file lies: those that were decided, or, if a link led elsewhere, those for that place.
std::vector<policy::Grant> grants_for(const Session& session, const FileWork& work,
                                      const ipc::OpenedReport& opened) {
    if (opened.place().empty()) return work.task.grants;
    const auto place = policy::GuestPath::parse(opened.place(), "/");
    const auto mode = files::to_open_mode(work.task.order.open().mode());
    if (!place || place->text() != opened.place() || !mode) return {};
    return policy::decide_file_open(session.policy, *place, mode->wanted, session.clock.now()).grants;
}

// The grant that the clerk's report names; nothing if the policy does not agree.
std::optional<policy::Grant> grant_of(const Session& session, const FileWork& work,
                                      const ipc::OpenedReport& opened) {
    for (const policy::Grant& grant : grants_for(session, work, opened))
        if (grant.rule == opened.rule() && grant.file == opened.file()) return grant;
    return std::nullopt;
}

// Why an opened file cannot be kept; its reason is UNSPECIFIED if it can.
Refusal fault_of(const Session& session, bool is_granted) {
    if (!is_granted)
        return {.reason = ipc::REFUSED, .why = "no allow rule covers this path and mode any more"};
    if (session.files_hand.count_kept() > kMaxKeptFiles)
        return {
            .reason = ipc::SYSTEM, .sys_errno = EMFILE, .why = "open files that have a clerk of their own"};
    if (session.files.size() >= kMaxOpenFiles)
        return {.reason = ipc::SYSTEM, .sys_errno = EMFILE, .why = "open files"};
    return {};
}

void keep(const Context& context, Slot& slot, ClerkReport& said, const policy::Grant& grant) {
    Session& session = context.session;
    const ipc::OpenedReport& opened = said.report.opened();
    const auto handle = session.handles.take();
    if (!handle) {
        close_opened(session, said);
        return take_back(slot).refuse(context, {.reason = ipc::STATE_NOT_SAVED, .why = "state"});
    }
    const bool is_held = said.file.is_open();
    const ipc::OpenOrder& order = slot->task.order.open();
    const auto mode = order.mode();
    auto place = policy::GuestPath::parse(opened.place().empty() ? order.path() : opened.place(), "/");
    session.files[*handle] =
        OpenFile{.fd = std::move(said.file),
                 .clerk = is_held ? 0 : said.clerk,
                 .atime = opened.atime(),
                 .rule = session.policy.rules[grant.rule].id,
                 .max_size = opened.is_regular() ? grant.terms.max_size : std::nullopt,
                 .by = grant.rule,
                 .place = place ? std::optional(*std::move(place)) : std::nullopt,
                 .access = files::to_open_mode(mode)->wanted,
                 .writes = mode != ipc::OpenOrder::READ,
                 .appends = mode == ipc::OpenOrder::APPEND || mode == ipc::OpenOrder::EXTEND,
                 .opened_by = slot->request.worker(),
                 .opened_seq = slot->request.seq()};
    slot->request.record.arguments.add("handle", *handle);
    Reply reply;
    reply.mutable_file_open()->set_handle(*handle);
    take_back(slot).complete(context, std::move(reply));
}

// THREAT: the host disconnects while its file is created or truncated, so that nothing is recorded. The line is written once the
// result is known.
void take_opened(const Context& context, Slot& slot, ClerkReport& said) {
    Session& session = context.session;
    Request& request = slot->request;
    const auto grant = grant_of(session, *slot, said.report.opened());
    Refusal fault = fault_of(session, grant.has_value());
    if (grant) request.record.rule = session.policy.rules[grant->rule].id;
    const bool is_wanted = session.worker.number == request.worker();
    // THREAT: a link leads round the budget of the rule for the place. That rule is paid as well as that of the name, whoever still waits.
    // Where it was spent before, the clerk has opened nothing; here it can be by another open that was under way beside this one.
    const bool is_elsewhere = grant && grant->rule != slot->task.grants.front().rule;
    if (is_elsewhere) {
        const auto spent = take_request(context, request, grant->rule);
        if (spent && fault.reason == ipc::UNSPECIFIED) fault = *spent;
    }
    if (is_wanted && fault.reason == ipc::UNSPECIFIED) return keep(context, slot, said, *grant);
    close_opened(session, said);
    if (is_wanted) return take_back(slot).refuse(context, fault);
    take_back(slot).abandon(context.audit, "opened, and closed again: the worker had ended");
}

Refusal lost_work(const FileWork& work, const ClerkReport& said) {
    if (work.task.order.has_open())
        return {.reason = ipc::SYSTEM,
                .sys_errno = said.is_late ? ETIMEDOUT : EIO,
                .why = said.is_late
                           ? "the file does not answer; what the open has made or cut off is not known"
                           : "the clerk ended; what the open has made or cut off is not known"};
    return {.reason = ipc::SYSTEM,
            .sys_errno = said.is_late ? ETIMEDOUT : EIO,
            .why = said.is_late ? "the file does not answer" : "the clerk ended"};
}

// A clerk that says why it opened nothing has neither made nor cut off anything.
void take_failed(const Context& context, Slot& slot, const ipc::FailedReport& failed) {
    slot->request.record.may_have_changed = false;
    const auto& rules = context.session.policy.rules;
    const auto& spent = slot->task.order.open().spent();
    if (failed.has_rule() && failed.rule() < rules.size())
        slot->request.record.rule = rules[failed.rule()].id;
    if (failed.has_rule() && std::ranges::find(spent, failed.rule()) != spent.end()) {
        Request request = take_back(slot);
        return request.refuse(context, spent_place(context.session, request, failed.rule()));
    }
    take_back(slot).refuse(context, refusal_of(failed));
}

void take_work(const Context& context, Slot& slot, ClerkReport& said) {
    const auto& [clerk, report, file, is_late] = said;
    if (report.has_failed()) return take_failed(context, slot, report.failed());
    if (report.has_opened()) return take_opened(context, slot, said);
    Reply reply;
    if (report.has_sought()) {
        reply.mutable_file_seek()->set_position(report.sought().position());
    } else if (report.has_closed()) {
        reply.mutable_file_close();
    } else {
        const Refusal lost = lost_work(*slot, said);
        if (!slot->task.order.has_open()) lost_clerk(context.session, said);
        return take_back(slot).refuse(context, lost);
    }
    take_back(slot).complete(context, std::move(reply));
}

void conclude(const Context& context, ClerkReport& said) {
    Session& session = context.session;
    for (Slot& slot : session.file_work)
        if (slot && slot->task.clerk == said.clerk) return take_work(context, slot, said);
    auto& read = session.worker.read;
    auto& write = session.worker.write;
    if (read && read->part.clerk == said.clerk) return take_part(context, *read, said);
    if (write && write->part.clerk == said.clerk) return take_part(context, *write, said);
    // The worker that asked has ended.
    close_opened(session, said);
    if (said.report.op_case() == ipc::FileReport::OP_NOT_SET) lost_clerk(session, said);
}

void refuse(const Context& context, Slot& slot, const Refusal& refusal) {
    if (slot->task.file.is_open()) context.session.files_hand.close(std::move(slot->task.file));
    take_back(slot).refuse(context, refusal);
}

// Refuses what waits for a clerk and fulfils `is_meant`. False if there is none.
template <typename IsMeant>
bool refuse_if(const Context& context, const Refusal& refusal, IsMeant is_meant) {
    WorkerState& worker = context.session.worker;
    bool is_any = false;
    for (Slot& slot : context.session.file_work) {
        if (!slot || slot->task.clerk != 0 || !is_meant(slot->request)) continue;
        is_any = true;
        refuse(context, slot, refusal);
    }
    if (worker.read && worker.read->part.waits_for_clerk() && is_meant(worker.read->request)) {
        is_any = true;
        refuse_part(context, *worker.read, refusal);
    }
    if (worker.write && worker.write->part.waits_for_clerk() && is_meant(worker.write->request)) {
        is_any = true;
        refuse_part(context, *worker.write, refusal);
    }
    return is_any;
}

// THREAT: a worker that was taken over has one file made or emptied after the other, and ends before it hears of it; or a host has that
// done where the open is refused in the end. Such an open is no mere refusal: the log has it, however often it comes.
bool may_change(const ipc::FileOrder& order) {
    const auto mode = files::to_open_mode(order.open().mode());
    return order.has_open() && mode && (mode->may_create || mode->truncate);
}

void give_out(const Context& context, Slot& slot) {
    if (slot->task.order.has_open()) {
        const auto spent = spent_rules(context.session, slot->task.grants.front().rule);
        slot->task.order.mutable_open()->mutable_spent()->Assign(spent.begin(), spent.end());
    }
    const auto clerk =
        context.session.files_hand.order_any({.order = slot->task.order, .file = slot->task.file});
    if (!clerk) return refuse(context, slot, too_many_hang());
    slot->task.clerk = *clerk;
    if (*clerk == 0) return;
    slot->request.record.may_have_changed = may_change(slot->task.order);
    // The deadline is now the clerk's, and the clerk has the last reference to the file.
    slot->request.due_ns = 0;
    slot->task.file.reset();
}

}  // namespace

Refusal too_many_hang() {
    return {.reason = ipc::SYSTEM,
            .sys_errno = EBUSY,
            .why = "too many files do not answer, and their clerks cannot be ended"};
}

Refusal gone_or_busy() {
    return {.reason = ipc::SYSTEM, .sys_errno = EIO, .why = "the file is gone, or busy"};
}

Answer begin_work(Exchange& exchange, FileTask task) {
    Session& session = exchange.session;
    const auto slot = std::ranges::find_if(session.file_work, [](const Slot& one) { return !one; });
    const bool is_given = task.clerk != 0 && slot != session.file_work.end() &&
                          session.files_hand.order(task.clerk, {.order = task.order});
    if (slot == session.file_work.end() || (task.clerk != 0 && !is_given)) {
        if (task.file.is_open())
            session.files_hand.close(std::move(task.file));
        else if (task.order.has_close())
            session.files_hand.close_kept(task.clerk);
        return slot == session.file_work.end() ? too_many_hang() : gone_or_busy();
    }
    *slot = FileWork{.request = std::move(exchange.request), .task = std::move(task)};
    if (is_given) return Later{};
    (*slot)->request.due_ns = boottime_ns() + kFileTimeoutNs;
    give_out(exchange.context, *slot);
    return Later{};
}

void give_out(const Context& context) {
    Session& session = context.session;
    for (Slot& slot : session.file_work)
        if (slot && slot->task.clerk == 0) give_out(context, slot);
    if (session.worker.read && session.worker.read->part.waits_for_clerk())
        order_part(context, *session.worker.read);
    if (session.worker.write && session.worker.write->part.waits_for_clerk())
        order_part(context, *session.worker.write);
}

void refuse_waiting(const Context& context, const Refusal& refusal) {
    refuse_if(context, refusal, [](const Request&) { return true; });
}

bool end_late_work(const Context& context, std::int64_t now_ns) {
    return refuse_if(context,
                     {.reason = ipc::SYSTEM, .sys_errno = ETIMEDOUT, .why = "no clerk was free in time"},
                     [&](const Request& request) { return is_late(request, now_ns); });
}

void hear_clerks(const Context& context) {
    const std::int64_t now = boottime_ns();
    while (auto said = context.session.files_hand.hear_clerk(now)) conclude(context, *said);
    give_out(context);
}

void drop_file(Session& session, std::int64_t handle) {
    const auto at = session.files.find(handle);
    if (at == session.files.end()) return;
    OpenFile file = std::move(at->second);
    session.files.erase(at);
    if (file.fd.is_open())
        session.files_hand.close(std::move(file.fd));
    else
        session.files_hand.close_kept(file.clerk);
}

Refusal lost_clerk(Session& session, const ClerkReport& said) {
    std::erase_if(session.files, [&](const auto& file) { return file.second.clerk == said.clerk; });
    return {.reason = ipc::SYSTEM,
            .sys_errno = said.is_late ? ETIMEDOUT : EIO,
            .why = said.is_late ? "the file does not answer" : "the clerk ended"};
}

}  // namespace sallyport::broker
