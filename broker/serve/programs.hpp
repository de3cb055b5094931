// The programs that hosts have started: those that run, and the results that nobody has asked for yet.
// Runs in:  broker, after lockdown()
// Input:    frames of the launcher, which starts programs and passes on what they write; checked all the same
// INVARIANT: nobody here looks into what a program writes. It is counted, and reaches the worker under the number that it was asked for.
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
    std::optional<ipc::ExecEnded> ended;  // how
    bool is_gone = false;                 // nothing of it is left, not even in the background
    bool is_wanted = true;                // its result, by a host that knows its number
};

/// A program that is being started, and what the launcher is told of it, in parts. It goes on if the request's worker ends.
struct ProgramStart {
    Request request;
    std::int64_t number = 0;
    std::string order;
    std::size_t told = 0;
    bool is_next_due = true;  // the launcher has taken the part before
};

/// Somebody asks for the end of a program that still runs. The reply waits a moment, since it often ends in that: otherwise a host
/// that asks without pause takes its processor time. Given up with its worker.
struct StatusWait {
    Request request;
    std::int64_t number = 0;
};

/// The output of a program that has ended, on its way from the launcher. Given up with its worker; then the result still waits.
struct ProgramResult {
    Request request;
    std::int64_t number = 0;
    std::string text;         // standard error, then standard output, as far as it has come
    bool is_next_due = true;  // what follows is still to be asked for
};

struct Programs {
    policy::ExecTemplates templates;
    std::map<std::int64_t, Program> known;  // by the number that the host has
    std::optional<ProgramStart> start;
    std::vector<std::int64_t> drops;  // that the launcher is to let go
    std::optional<ipc::ExecTake>
        asked_for;  // of an output, by this worker or an earlier one; the launcher has not said it yet
};

/// What the launcher is to be told next, if anything; nothing about a new program while it is busy with others' work.
///
/// THREAT: a host asks for an output and goes, again and again, while the launcher waits for a slow hook, until its socket is full
/// and it counts as lost. One part of an output is asked for at a time, whoever has gone meanwhile, and each program let go once.
std::optional<ipc::LauncherRequest> next_program_order(Session& session);

/// Whether the launcher speaks of a program.
bool is_about_program(const ipc::LauncherReply& said);
/// Goes on with whatever waits for that. Errors: kInvalid: the launcher broke its contract.
Status hear_program(const Context& context, const ipc::LauncherReply& said);

/// Ends the start that is under way and did not become one in time. Should the program start later, nobody learns its result.
void give_up_program_start(const Context& context);

/// Tells how a program that has ended did so, to whom has asked; what it wrote is fetched first.
void give_result(const Context& context, Request request, std::int64_t number);

/// The program still runs.
void end_status_wait(const Context& context);

/// The result was told, or nobody can ask for it any more.
void forget_program(Session& session, std::int64_t number);

}  // namespace sallyport::broker
