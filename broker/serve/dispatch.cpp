// The table of everything a worker can ask for, and the checks that stand before each answer.
// Runs in:  broker, after lockdown()
// Input:    frames of a worker that may have been taken over
// Relies on: ipc/codec for the canonical form
#include "broker/serve/dispatch.hpp"

#include <array>

#include "ipc/codec.hpp"

namespace sallyport::broker {

namespace {

constexpr WorkerPhases kGreeting{WorkerPhase::kGreeting};
constexpr WorkerPhases kIdle{WorkerPhase::kIdle};
constexpr WorkerPhases kAfterGreeting{WorkerPhase::kIdle, WorkerPhase::kReading, WorkerPhase::kWriting,
                                      WorkerPhase::kWaiting, WorkerPhase::kInspecting};

// A dropped reply is reported when it happens, before the next request. So it never comes between the parts of a transfer, whose file it
// could be about.
constexpr WorkerPhases kNoTransfer{WorkerPhase::kIdle, WorkerPhase::kWaiting};

using Op = ipc::Request;

// clang-format off
constexpr std::array kOperations{
    //        operation                name                allowed in      numbered         decided as              answered by
    Operation{Op::kHello,           "hello",            kGreeting,      Numbered::kNone, std::nullopt,           hear_hello},
    Operation{Op::kCommandDisabled, "command-disabled", kIdle,          Numbered::kNext, std::nullopt,           answer_command_disabled},
    Operation{Op::kReplyDropped,    "reply-dropped",    kNoTransfer,    Numbered::kNone, std::nullopt,           hear_reply_dropped},
    Operation{Op::kChunkUsed,       "chunk-used",       kAfterGreeting, Numbered::kPart, std::nullopt,           hear_chunk_used},
    Operation{Op::kChunkFilled,     "chunk-filled",     kAfterGreeting, Numbered::kPart, std::nullopt,           hear_chunk_filled},
    Operation{Op::kShutdown,        "guest-shutdown",   kIdle,          Numbered::kNext, CommandId::kShutdown,   answer_shutdown},
    Operation{Op::kFileOpen,        "guest-file-open",  kIdle,          Numbered::kNext, CommandId::kFileOpen,   answer_file_open},
    Operation{Op::kFileClose,       "guest-file-close", kIdle,          Numbered::kNext, CommandId::kFileClose,  answer_file_close},
    Operation{Op::kFileRead,        "guest-file-read",  kIdle,          Numbered::kNext, CommandId::kFileRead,   answer_file_read},
    Operation{Op::kFileWrite,       "guest-file-write", kIdle,          Numbered::kNext, CommandId::kFileWrite,  answer_file_write},
    Operation{Op::kFileSeek,        "guest-file-seek",  kIdle,          Numbered::kNext, CommandId::kFileSeek,   answer_file_seek},
    Operation{Op::kFileFlush,       "guest-file-flush", kIdle,          Numbered::kNext, CommandId::kFileFlush,  answer_file_flush},
    Operation{Op::kFsfreezeFreeze, "guest-fsfreeze-freeze", kIdle, Numbered::kNext, CommandId::kFsfreezeFreeze, answer_fsfreeze_freeze},
    Operation{Op::kFsfreezeFreezeList, "guest-fsfreeze-freeze-list", kIdle, Numbered::kNext, CommandId::kFsfreezeFreezeList, answer_fsfreeze_freeze_list},
    Operation{Op::kFsfreezeThaw, "guest-fsfreeze-thaw", kAfterGreeting, Numbered::kNext, CommandId::kFsfreezeThaw, answer_fsfreeze_thaw},
    Operation{Op::kFstrim, "guest-fstrim", kIdle, Numbered::kNext, CommandId::kFstrim, answer_fstrim},
    Operation{Op::kSuspendDisk,     "guest-suspend-disk", kIdle,        Numbered::kNext, CommandId::kSuspendDisk, answer_suspend_disk},
    Operation{Op::kSuspendRam,      "guest-suspend-ram", kIdle,         Numbered::kNext, CommandId::kSuspendRam, answer_suspend_ram},
    Operation{Op::kSuspendHybrid,   "guest-suspend-hybrid", kIdle,      Numbered::kNext, CommandId::kSuspendHybrid, answer_suspend_hybrid},
    Operation{Op::kExec,            "guest-exec",       kIdle,          Numbered::kNext, CommandId::kExec,       answer_exec},
    Operation{Op::kExecStatus,      "guest-exec-status", kIdle,         Numbered::kNext, CommandId::kExecStatus, answer_exec_status},
    Operation{Op::kSetUserPassword, "guest-set-user-password", kIdle,   Numbered::kNext, CommandId::kSetUserPassword, answer_set_user_password},
    Operation{Op::kSshGetAuthorizedKeys, "guest-ssh-get-authorized-keys", kIdle, Numbered::kNext, CommandId::kSshGetAuthorizedKeys, answer_ssh_get_authorized_keys},
    Operation{Op::kSshAddAuthorizedKeys, "guest-ssh-add-authorized-keys", kIdle, Numbered::kNext, CommandId::kSshAddAuthorizedKeys, answer_ssh_add_authorized_keys},
    Operation{Op::kSshRemoveAuthorizedKeys, "guest-ssh-remove-authorized-keys", kIdle, Numbered::kNext, CommandId::kSshRemoveAuthorizedKeys, answer_ssh_remove_authorized_keys},
    Operation{Op::kSetTime,         "guest-set-time",   kIdle,          Numbered::kNext, CommandId::kSetTime,    answer_set_time},
    Operation{Op::kSetVcpus,        "guest-set-vcpus",  kIdle,          Numbered::kNext, CommandId::kSetVcpus,   answer_set_vcpus},
    Operation{Op::kSetMemoryBlocks, "guest-set-memory-blocks", kIdle,   Numbered::kNext, CommandId::kSetMemoryBlocks, answer_set_memory_blocks},
    Operation{Op::kInspect,         "inspect",          kIdle,          Numbered::kNext, std::nullopt,           answer_inspect},
};
// clang-format on

constexpr bool one_row_per_command_asked_for() {
    for (const Command& row : kCommands) {
        int rows = 0;
        for (const Operation& operation : kOperations)
            if (operation.command == row.id && operation.name == row.name) ++rows;
        if (rows != (row.answered_by == AnsweredBy::kBroker ? 1 : 0)) return false;
    }
    return true;
}
static_assert(one_row_per_command_asked_for(),
              "every command that the broker answers: one row, under its own name");

const Operation* find_operation(ipc::Request::CommandCase op) {
    for (const Operation& operation : kOperations)
        if (operation.op == op) return &operation;
    return nullptr;
}

// A query names its command itself: any that the inspector answers.
std::optional<CommandId> command_of(const Operation& operation, const ipc::Request& asked) {
    if (operation.op != Op::kInspect) return operation.command;
    const auto command = command_from_number(asked.inspect().command());
    const bool looks = command && command_row(*command).answered_by == AnsweredBy::kInspector;
    return looks ? command : std::nullopt;
}

// Returns what is wrong with the frame, whoever sends it, or nullptr.
const char* find_fault(const Session& session, const Operation* operation, const ipc::Request& asked) {
    if (operation == nullptr) return "no operation";
    if (!operation->phases.has(phase_of(session))) return "operation out of order";
    const bool may_have_bulk = operation->op == Op::kFileWrite || operation->op == Op::kFsfreezeFreezeList ||
                               operation->op == Op::kExec;
    if (asked.has_bulk() ? !may_have_bulk : operation->op == Op::kFileWrite)
        return "bulk with the wrong operation";
    if (operation->op == Op::kInspect && !command_of(*operation, asked)) return "a query of no such command";
    switch (operation->numbered) {
        case Numbered::kNext:
            return asked.seq() == session.worker.last_seq + 1 ? nullptr : "sequence number out of order";
        case Numbered::kNone:
            return asked.seq() == 0 ? nullptr : "sequence number where none belongs";
        case Numbered::kPart:
            return nullptr;
    }
    check_failed();
}

// THREAT: a host fills the disk, or waits until it hangs, and goes on unrecorded.
bool has_no_record(const Command& row, Audit& audit) {
    return row.floor == Floor::kNo && !audit.is_recording();
}

Answer decide_and_answer(AnswerRequest answer, Exchange& exchange) {
    Request& request = exchange.request;
    expect_parts(exchange);
    if (request.command()) {
        const Session& session = exchange.session;
        const Command& row = command_row(*request.command());
        const auto decision = policy::decide_command(session.policy, row.id, session.clock.now());
        request.record.rule = rule_id(session.policy, decision);
        note_dry_run(exchange, decision.is_allowed());
        if (!decision.is_allowed())
            return Refusal{.reason = ipc::DISABLED, .why = "the command is not allowed"};
        if (session.freezing.holds_commands() && row.while_frozen == WhileFrozen::kNo)
            return Refusal{.reason = ipc::FROZEN, .why = "file systems are frozen"};
        if (has_no_record(row, exchange.context.audit))
            return Refusal{.reason = ipc::NOT_RECORDED, .why = "the audit log takes nothing"};
        request.record.verdict = Verdict::kAllowed;
        request.rule = decision.rule;
        // Other answers know the rule only when they have looked at the arguments.
        const bool is_whole = row.constraint == Constraint::kNone || row.constraint == Constraint::kFreeze;
        if (is_whole && policy::is_counted(row))
            if (auto refusal = take_request(exchange, decision.rule)) return *refusal;
    }
    return answer(exchange);
}

// Ends the request by its answer, unless the answer is Later.
std::optional<Violation> conclude(Answer answer, Exchange& exchange) {
    Request& request = exchange.request;
    if (const auto* violation = std::get_if<Violation>(&answer)) {
        if (request.is_open()) request.annul();
        return *violation;
    }
    if (const auto* refusal = std::get_if<Refusal>(&answer)) request.refuse(exchange.context, *refusal);
    if (auto* reply = std::get_if<Reply>(&answer)) request.complete(exchange.context, std::move(*reply));
    return std::nullopt;
}

}  // namespace

std::span<const Operation> operations() {
    return kOperations;
}

std::optional<Violation> handle_frame(const Context& context, Wire& wire) {
    auto& [frame, asked, bytes] = wire;
    if (const auto decoded = ipc::decode(frame.bytes, asked, bytes); !decoded)
        return Violation{decoded.error().what};
    WorkerState& worker = context.session.worker;
    const Operation* operation = find_operation(asked.command_case());
    if (const char* fault = find_fault(context.session, operation, asked)) return Violation{fault};
    if (const auto* hear = std::get_if<HearWorker>(&operation->by)) return (*hear)(context, asked);
    worker.last_seq = asked.seq();
    const auto command = command_of(*operation, asked);
    Request request({.worker = worker.number, .seq = asked.seq(), .op = operation->op, .command = command},
                    command ? command_row(*command).name : operation->name);
    Exchange exchange{context, context.session, request, asked};
    return conclude(decide_and_answer(std::get<AnswerRequest>(operation->by), exchange), exchange);
}

}  // namespace sallyport::broker
