// The answers: one function for each operation of the dispatch table: decide, act, reply.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their values are still the worker's
// Relies on: dispatch.cpp for shape, order and the whole-command decision; policy/decide for the rest
#pragma once

#include <optional>
#include <variant>

#include "broker/session.hpp"
#include "ipc/broker.pb.h"
#include "ipc/inspector.pb.h"
#include "ipc/launcher.pb.h"

namespace sallyport::broker {

/// The reply is filled in.
struct Done {};
/// The request is refused or has failed; the host is told.
struct Refusal {
    ipc::Reason reason = ipc::UNSPECIFIED;
    int sys_errno = 0;
    const char* why = "";
    std::string mount = {};  // the file system that it is about
};
/// The worker broke the contract; it is ended and nobody is told but the admin.
struct Violation {
    const char* what = "";
};
/// The request goes on: parts are under way. The reply, if it is filled in, is about one of them.
struct Continues {};
/// The request is over and has no reply.
struct NoReply {};
/// The request waits for the guard, in session.freezing, with its record.
struct Pends {};

using Answer = std::variant<Done, Refusal, Violation, Continues, NoReply, Pends>;

/// What an answer works on. `record` is written once the request is over.
struct Exchange {
    Session& session;
    const ipc::Request& request;
    ipc::Reply& reply;
    Record& record;
    std::size_t rule = policy::kNoRule;  // that allowed it
};

/// The open file that a request is about, noted in its record with the rule that let it be opened; nullptr if there is
/// none, for which the answer is bad_handle().
OpenFile* find_file(Exchange& exchange, std::int64_t handle);
Refusal bad_handle();

Answer answer_hello(Exchange& exchange);
Answer answer_command_disabled(Exchange& exchange);
Answer answer_reply_dropped(Exchange& exchange);

Answer answer_file_open(Exchange& exchange);
Answer answer_file_close(Exchange& exchange);
Answer answer_file_read(Exchange& exchange);
Answer answer_chunk_used(Exchange& exchange);
Answer answer_file_write(Exchange& exchange);
Answer answer_chunk_filled(Exchange& exchange);
Answer answer_file_seek(Exchange& exchange);
Answer answer_file_flush(Exchange& exchange);

Answer answer_fsfreeze_status(Exchange& exchange);
Answer answer_fsfreeze_freeze(Exchange& exchange);
Answer answer_fsfreeze_freeze_list(Exchange& exchange);
Answer answer_fsfreeze_thaw(Exchange& exchange);
Answer answer_fstrim(Exchange& exchange);

Answer answer_shutdown(Exchange& exchange);
Answer answer_suspend_disk(Exchange& exchange);
Answer answer_suspend_ram(Exchange& exchange);
Answer answer_suspend_hybrid(Exchange& exchange);

/// Notes how the launch ended; gives back the reply if the worker that asked for it still waits.
std::optional<ipc::Reply> conclude_launch(Session& session, Audit& audit, const ipc::Outcome& outcome);

/// Has the inspector look, for every command that it answers; take_inspected() goes on with what it says.
Answer answer_inspect(Exchange& exchange);
Answer take_inspected(Exchange& exchange, const ipc::InspectorReply& said);

/// Whether a read is under way whose next part can be given without waiting for the worker.
bool has_part_to_send(const Session& session);

/// Puts the next part of a file, or of a reply that does not fit a frame, into the arena.
Answer send_part(Exchange& exchange);

}  // namespace sallyport::broker
