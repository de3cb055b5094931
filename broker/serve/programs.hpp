// The programs that hosts have started: those that run, and the results that nobody has asked for yet.
// Runs in:  broker, after lockdown()
// Input:    frames of the launcher, which starts programs and passes on what they write; checked nevertheless
// INVARIANT: output of programs is not parsed here. It is counted, and reaches the worker under the number that the host asked for.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/serve/request.hpp"
#include "ipc/launcher.pb.h"
#include "policy/exec.hpp"

namespace sallyport::broker {

struct Session;

struct Program {
    int by = 0;                           // template
    bool is_started = false;              // the launcher has reported its start
    std::optional<ipc::ExecEnded> ended;  // how it ended
    bool is_gone = false;                 // no process of it is left, not even in the background
    bool is_wanted = true;                // a host knows its number and may ask for its result
};

/// A program that is being started, and its order to the launcher, in parts. Its start goes on if the request's worker ends.
struct ProgramStart {
    Request request;
    std::int64_t number = 0;
    std::string order;
    std::size_t told = 0;
    bool is_next_due = true;  // the launcher has taken the previous part
};

/// A request for the status of a program that still runs. The reply waits a moment, in which many programs end; otherwise a host that
/// asks without pause takes the program's processor time. Abandoned with its worker.
struct StatusWait {
    Request request;
    std::int64_t number = 0;
};

/// The output of a program that has ended, on its way from the launcher. Abandoned with its worker; the result is kept.
struct ProgramResult {
    Request request;
    std::int64_t number = 0;
    std::string text;         // standard error, then standard output, as far as it has arrived
    bool is_next_due = true;  // the next part must still be asked for
};

struct Programs {
    policy::ExecTemplates templates;
    std::map<std::int64_t, Program> known;  // by the number that the host knows
    std::optional<ProgramStart> start;
    std::vector<std::int64_t> drops;  // results that the launcher may drop
    std::optional<ipc::ExecTake>
        asked_for;  // the output that some worker asked for, and that the launcher has not sent yet
};

/// Returns the next order to the launcher, if there is one; none about a new program while it is busy with other work.
///
/// THREAT: while the launcher waits for a slow hook, a host asks for an output and hangs up, again and again, until the launcher's
/// socket is full and it counts as lost. So one part of an output is asked for at a time, and each result is dropped once.
std::optional<ipc::LauncherRequest> next_program_order(Session& session);

/// Whether a report of the launcher is about a program.
bool is_about_program(const ipc::LauncherReply& said);
/// Continues what waits for this report. Errors: kInvalid if the launcher broke its contract.
Status hear_program(const Context& context, const ipc::LauncherReply& said);

/// Ends the start under way if it is late. If the program starts later, nobody learns its result.
void give_up_program_start(const Context& context);

/// Answers a request for the status of a program that has ended; its output is fetched first.
void give_result(const Context& context, Request request, std::int64_t number);

/// The program still runs.
void end_status_wait(const Context& context);

/// Drops a result that was told, or that nobody can ask for any more.
void forget_program(Session& session, std::int64_t number);

}  // namespace sallyport::broker
