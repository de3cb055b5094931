// The table of everything a worker can ask for, and the checks that stand before each answer.
// Runs in:  broker, after lockdown()
// Input:    frames of a worker that may have been taken over
// Relies on: ipc/codec for the canonical form
#include "broker/dispatch.hpp"

#include <array>

#include "ipc/codec.hpp"

namespace sallyport::broker {

namespace {

constexpr Phases kGreeting{.greeting = true};
constexpr Phases kIdle{.idle = true};
constexpr Phases kAfterGreeting{
    .idle = true, .reading = true, .writing = true, .waiting = true, .inspecting = true};

// A reply is dropped when it comes, before the next request: never while parts of a transfer are under way, whose file it
// could be about.
constexpr Phases kNoTransfer{.idle = true, .waiting = true};

using Op = ipc::Request;

// clang-format off
constexpr std::array kOperations{
    //        operation                name                allowed in      numbered         decided as              answered by
    Operation{Op::kHello,           "hello",            kGreeting,      Numbered::kNone, std::nullopt,           answer_hello},
    Operation{Op::kCommandDisabled, "command-disabled", kIdle,          Numbered::kNext, std::nullopt,           answer_command_disabled},
    Operation{Op::kReplyDropped,    "reply-dropped",    kNoTransfer,    Numbered::kNone, std::nullopt,           answer_reply_dropped},
    Operation{Op::kChunkUsed,       "chunk-used",       kAfterGreeting, Numbered::kPart, std::nullopt,           answer_chunk_used},
    Operation{Op::kChunkFilled,     "chunk-filled",     kAfterGreeting, Numbered::kPart, std::nullopt,           answer_chunk_filled},
    Operation{Op::kShutdown,        "guest-shutdown",   kIdle,          Numbered::kNext, CommandId::kShutdown,   answer_shutdown},
    Operation{Op::kFileOpen,        "guest-file-open",  kIdle,          Numbered::kNext, CommandId::kFileOpen,   answer_file_open},
    Operation{Op::kFileClose,       "guest-file-close", kIdle,          Numbered::kNext, CommandId::kFileClose,  answer_file_close},
    Operation{Op::kFileRead,        "guest-file-read",  kIdle,          Numbered::kNext, CommandId::kFileRead,   answer_file_read},
    Operation{Op::kFileWrite,       "guest-file-write", kIdle,          Numbered::kNext, CommandId::kFileWrite,  answer_file_write},
    Operation{Op::kFileSeek,        "guest-file-seek",  kIdle,          Numbered::kNext, CommandId::kFileSeek,   answer_file_seek},
    Operation{Op::kFileFlush,       "guest-file-flush", kIdle,          Numbered::kNext, CommandId::kFileFlush,  answer_file_flush},
    Operation{Op::kFsfreezeStatus, "guest-fsfreeze-status", kAfterGreeting, Numbered::kNext, CommandId::kFsfreezeStatus, answer_fsfreeze_status},
    Operation{Op::kFsfreezeFreeze, "guest-fsfreeze-freeze", kIdle, Numbered::kNext, CommandId::kFsfreezeFreeze, answer_fsfreeze_freeze},
    Operation{Op::kFsfreezeFreezeList, "guest-fsfreeze-freeze-list", kIdle, Numbered::kNext, CommandId::kFsfreezeFreezeList, answer_fsfreeze_freeze_list},
    Operation{Op::kFsfreezeThaw, "guest-fsfreeze-thaw", kAfterGreeting, Numbered::kNext, CommandId::kFsfreezeThaw, answer_fsfreeze_thaw},
    Operation{Op::kFstrim, "guest-fstrim", kIdle, Numbered::kNext, CommandId::kFstrim, answer_fstrim},
    Operation{Op::kSuspendDisk,     "guest-suspend-disk", kIdle,        Numbered::kNext, CommandId::kSuspendDisk, answer_suspend_disk},
    Operation{Op::kSuspendRam,      "guest-suspend-ram", kIdle,         Numbered::kNext, CommandId::kSuspendRam, answer_suspend_ram},
    Operation{Op::kSuspendHybrid,   "guest-suspend-hybrid", kIdle,      Numbered::kNext, CommandId::kSuspendHybrid, answer_suspend_hybrid},
    Operation{Op::kGetTime,          "guest-get-time",               kIdle, Numbered::kNext, CommandId::kGetTime,                answer_inspect},
    Operation{Op::kNetworkGetInterfaces,"guest-network-get-interfaces", kIdle, Numbered::kNext, CommandId::kNetworkGetInterfaces,   answer_inspect},
    Operation{Op::kGetVcpus,         "guest-get-vcpus",              kIdle, Numbered::kNext, CommandId::kGetVcpus,               answer_inspect},
    Operation{Op::kGetDisks,         "guest-get-disks",              kIdle, Numbered::kNext, CommandId::kGetDisks,               answer_inspect},
    Operation{Op::kGetFsinfo,        "guest-get-fsinfo",             kIdle, Numbered::kNext, CommandId::kGetFsinfo,              answer_inspect},
    Operation{Op::kGetMemoryBlocks,  "guest-get-memory-blocks",      kIdle, Numbered::kNext, CommandId::kGetMemoryBlocks,        answer_inspect},
    Operation{Op::kGetMemoryBlockInfo,"guest-get-memory-block-info",  kIdle, Numbered::kNext, CommandId::kGetMemoryBlockInfo,     answer_inspect},
    Operation{Op::kGetHostName,      "guest-get-host-name",          kIdle, Numbered::kNext, CommandId::kGetHostName,            answer_inspect},
    Operation{Op::kGetUsers,         "guest-get-users",              kIdle, Numbered::kNext, CommandId::kGetUsers,               answer_inspect},
    Operation{Op::kGetTimezone,      "guest-get-timezone",           kIdle, Numbered::kNext, CommandId::kGetTimezone,            answer_inspect},
    Operation{Op::kGetOsinfo,        "guest-get-osinfo",             kIdle, Numbered::kNext, CommandId::kGetOsinfo,              answer_inspect},
    Operation{Op::kGetDiskstats,     "guest-get-diskstats",          kIdle, Numbered::kNext, CommandId::kGetDiskstats,           answer_inspect},
    Operation{Op::kGetCpustats,      "guest-get-cpustats",           kIdle, Numbered::kNext, CommandId::kGetCpustats,            answer_inspect},
    Operation{Op::kGetLoad,          "guest-get-load",               kIdle, Numbered::kNext, CommandId::kGetLoad,                answer_inspect},
    Operation{Op::kNetworkGetRoute,  "guest-network-get-route",      kIdle, Numbered::kNext, CommandId::kNetworkGetRoute,        answer_inspect},
};
// clang-format on

constexpr bool one_row_per_command_asked_for() {
    for (const Command& row : kCommands) {
        int rows = 0;
        for (const Operation& operation : kOperations)
            if (operation.command == row.id && operation.name == row.name) ++rows;
        if (rows != (row.answered_by == AnsweredBy::kWorker ? 0 : 1)) return false;
    }
    return true;
}
static_assert(one_row_per_command_asked_for(),
              "every command that the worker does not answer: one row, under its own name");

const Operation* find_operation(ipc::Request::CommandCase op) {
    for (const Operation& operation : kOperations)
        if (operation.op == op) return &operation;
    return nullptr;
}

// What is wrong with the frame whoever sends it; nullptr if nothing is.
const char* find_fault(WorkerState& worker, const Operation* operation, const ipc::Request& request) {
    if (operation == nullptr) return "no operation";
    if (!operation->phases.has(worker.phase)) return "operation out of order";
    const bool may_have_bulk = operation->op == Op::kFileWrite || operation->op == Op::kFsfreezeFreezeList;
    if (request.has_bulk() ? !may_have_bulk : operation->op == Op::kFileWrite)
        return "bulk with the wrong operation";
    switch (operation->numbered) {
        case Numbered::kNext:
            return request.seq() == ++worker.last_seq ? nullptr : "sequence number out of order";
        case Numbered::kNone:
            return request.seq() == 0 ? nullptr : "sequence number where none belongs";
        case Numbered::kPart:
            return nullptr;
    }
    check_failed();
}

// THREAT: a host fills the disk, or waits until it hangs, and goes on without a witness.
bool has_no_record(const Command& row, Audit& audit) {
    return row.floor == Floor::kNo && !audit.is_recording();
}

Answer decide_and_answer(const Operation& operation, Exchange& exchange, Audit& audit) {
    if (operation.command) {
        const Session& session = exchange.session;
        const auto decision = policy::decide_command(session.policy, *operation.command, session.clock.now());
        exchange.record.rule = rule_id(session.policy, decision);
        if (!decision.is_allowed())
            return Refusal{.reason = ipc::DISABLED, .why = "the command is not allowed"};
        if (session.freezing.is_frozen && command_row(*operation.command).while_frozen == WhileFrozen::kNo)
            return Refusal{.reason = ipc::FROZEN, .why = "file systems are frozen"};
        if (has_no_record(command_row(*operation.command), audit))
            return Refusal{.reason = ipc::NOT_RECORDED, .why = "the audit log takes nothing"};
        exchange.record.verdict = Verdict::kAllowed;
        exchange.rule = decision.rule;
    }
    return operation.answer(exchange);
}

}  // namespace

void tell_host(const Refusal& refusal, Exchange& exchange, Audit& audit) {
    const bool is_policy = refusal.reason == ipc::REFUSED || refusal.reason == ipc::DISABLED ||
                           refusal.reason == ipc::FROZEN || refusal.reason == ipc::NOT_RECORDED;
    exchange.record.verdict = is_policy ? Verdict::kRefused : Verdict::kFailed;
    exchange.record.reason = refusal.why;
    exchange.record.sys_errno = refusal.sys_errno;
    const std::string denial = audit.write(exchange.record);
    exchange.reply.clear_data();
    ipc::Error& error = *exchange.reply.mutable_error();
    error.set_reason(refusal.reason);
    error.set_sys_errno(refusal.sys_errno);
    error.set_mount(refusal.mount);
    if (refusal.reason == ipc::REFUSED) error.set_denial(denial);
}

namespace {

// Audits and replies as the answer wants. A request that continues leaves its record with the transfer.
std::optional<Violation> conclude(const Answer& answer, Exchange& exchange, Audit& audit,
                                  const SendReply& send) {
    if (const auto* violation = std::get_if<Violation>(&answer)) {
        exchange.session.worker.transfer.record = std::move(exchange.record);
        return *violation;
    }
    if (std::holds_alternative<Pends>(answer)) return std::nullopt;
    if (std::holds_alternative<Continues>(answer)) {
        exchange.session.worker.transfer.record = std::move(exchange.record);
        if (exchange.reply.result_case() == ipc::Reply::RESULT_NOT_SET) return std::nullopt;
    } else if (const auto* refusal = std::get_if<Refusal>(&answer)) {
        tell_host(*refusal, exchange, audit);
    } else {
        if (exchange.record.what != "hello") audit.write(exchange.record);
        if (std::holds_alternative<NoReply>(answer)) return std::nullopt;
    }
    if (!send(exchange.reply)) return Violation{"the worker does not read its replies"};
    return std::nullopt;
}

// The answer, and the parts that can be sent after it without waiting for the worker.
std::optional<Violation> conclude_all(const Answer& answer, Exchange& exchange, Audit& audit,
                                      const SendReply& send) {
    auto violation = conclude(answer, exchange, audit, send);
    while (!violation && has_part_to_send(exchange.session)) {
        exchange.reply.Clear();
        exchange.reply.set_seq(exchange.session.worker.transfer.seq);
        exchange.record = std::move(exchange.session.worker.transfer.record);
        violation = conclude(send_part(exchange), exchange, audit, send);
    }
    return violation;
}

}  // namespace

bool Phases::has(Phase phase) const {
    switch (phase) {
        case Phase::kGreeting:
            return greeting;
        case Phase::kIdle:
            return idle;
        case Phase::kReading:
            return reading;
        case Phase::kWriting:
            return writing;
        case Phase::kWaiting:
            return waiting;
        case Phase::kInspecting:
            return inspecting;
    }
    check_failed();
}

std::span<const Operation> operations() {
    return kOperations;
}

std::optional<Violation> handle_frame(Session& session, Audit& audit, Wire& wire, const SendReply& send) {
    auto& [frame, request, reply, inspected, bytes] = wire;
    if (const auto decoded = ipc::decode(frame.bytes, request, bytes); !decoded)
        return Violation{decoded.error().what};
    WorkerState& worker = session.worker;
    const Operation* operation = find_operation(request.command_case());
    if (const char* fault = find_fault(worker, operation, request)) return Violation{fault};

    Record record{.what = operation->name, .session = worker.number, .started_ns = boottime_ns()};
    if (operation->numbered == Numbered::kPart) record = std::move(worker.transfer.record);
    reply.Clear();
    reply.set_seq(request.seq());
    Exchange exchange{session, request, reply, record};
    return conclude_all(decide_and_answer(*operation, exchange, audit), exchange, audit, send);
}

std::optional<Violation> handle_inspector(Session& session, Audit& audit, Wire& wire, const SendReply& send) {
    const ipc::InspectorReply& said = wire.inspected;
    const std::uint64_t query =
        said.has_reply_part() ? said.reply_part().query() : said.query_failed().query();
    // It answers a query whose worker has ended, or at last, after its deadline: nobody wants that any more.
    if (session.worker.phase != Phase::kInspecting || query != session.worker.transfer.query)
        return std::nullopt;
    wire.request.Clear();
    wire.reply.Clear();
    wire.reply.set_seq(session.worker.transfer.seq);
    Record record = std::move(session.worker.transfer.record);
    Exchange exchange{session, wire.request, wire.reply, record};
    return conclude_all(take_inspected(exchange, said), exchange, audit, send);
}

void conclude_lost(Session& session, Audit& audit) {
    WorkerState& worker = session.worker;
    const bool has_line = worker.phase == Phase::kWaiting;  // of its own, when it is over
    if (has_line || worker.phase == Phase::kGreeting || worker.phase == Phase::kIdle) return;
    worker.transfer.record.verdict = Verdict::kFailed;
    worker.transfer.record.reason = "the worker ended";
    worker.transfer.record.bytes = worker.transfer.done;
    audit.write(worker.transfer.record);
    worker.phase = Phase::kGreeting;
}

}  // namespace sallyport::broker
