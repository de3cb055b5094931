// The answers: one function for each operation of the dispatch table (decide, act, reply), and the functions that continue those
// that do not end at once.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their values still come from the worker
// Relies on: dispatch.cpp for shape, order and the whole-command decision; policy/decide for the rest
#pragma once

#include <optional>
#include <string_view>

#include "broker/serve/request.hpp"
#include "broker/serve/session.hpp"
#include "ipc/broker.pb.h"
#include "ipc/launcher.pb.h"

namespace sallyport::broker {

/// What an answer works on. If it returns Later, it has moved the request elsewhere.
struct Exchange {
    const Context& context;
    Session& session;  // that of the context
    Request& request;
    const ipc::Request& asked;
};

/// The open file of a request; it is noted in the record, with the rule that let it be opened. nullptr if there is none: then the
/// answer is bad_handle().
OpenFile* find_file(Exchange& exchange, std::int64_t handle);
Refusal bad_handle();
/// Whether the rule that let the file be opened counts now, and none that denies it.
bool may_be_used(const Session& session, const OpenFile& file);

Answer answer_command_disabled(Exchange& exchange);

Answer answer_file_open(Exchange& exchange);
Answer answer_file_close(Exchange& exchange);
Answer answer_file_read(Exchange& exchange);
Answer answer_file_write(Exchange& exchange);
/// Before a write is decided about: its worker may send so many parts before it learns of a refusal.
void expect_parts(const Exchange& exchange);
Answer answer_file_seek(Exchange& exchange);
Answer answer_file_flush(Exchange& exchange);

Answer answer_fsfreeze_freeze(Exchange& exchange);
Answer answer_fsfreeze_freeze_list(Exchange& exchange);
Answer answer_fsfreeze_thaw(Exchange& exchange);
Answer answer_fstrim(Exchange& exchange);

Answer answer_shutdown(Exchange& exchange);
Answer answer_suspend_disk(Exchange& exchange);
Answer answer_suspend_ram(Exchange& exchange);
Answer answer_suspend_hybrid(Exchange& exchange);

Answer answer_exec(Exchange& exchange);
Answer answer_exec_status(Exchange& exchange);
Answer answer_set_user_password(Exchange& exchange);
Answer answer_ssh_get_authorized_keys(Exchange& exchange);
Answer answer_ssh_add_authorized_keys(Exchange& exchange);
Answer answer_ssh_remove_authorized_keys(Exchange& exchange);

Answer answer_set_time(Exchange& exchange);
Answer answer_set_vcpus(Exchange& exchange);
Answer answer_set_memory_blocks(Exchange& exchange);

/// For every command that the inspector answers.
Answer answer_inspect(Exchange& exchange);

// Messages of a worker that are not requests.
std::optional<Violation> hear_hello(const Context& context, const ipc::Request& said);
std::optional<Violation> hear_reply_dropped(const Context& context, const ipc::Request& said);
std::optional<Violation> hear_chunk_used(const Context& context, const ipc::Request& said);
std::optional<Violation> hear_chunk_filled(const Context& context, const ipc::Request& said);

/// Puts parts of a read into the arena as long as the worker need not be waited for.
void send_parts(const Context& context);

/// Continues the query under way by a frame of the inspector's child.
void take_inspected(const Context& context, std::string_view frame);
/// The child has closed its socket: another is asked, unless the query may have ended it.
void hear_inspectors_child_end(const Context& context);
/// The child said what no honest one says: it is killed, and the query under way fails.
void lose_inspectors_child(const Context& context);
/// Ends the query under way, because the inspector missed its deadline.
void give_up_inspecting(const Context& context);

/// Ends the launch request under way, by its outcome.
void conclude_launch(const Context& context, const ipc::Outcome& outcome);

}  // namespace sallyport::broker
