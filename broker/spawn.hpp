// Starting the programs that the broker starts: the policy compiler, the nursery and the helpers that the policy needs.
// Runs in:  broker, before lockdown(); afterwards no process can be started
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

#include "broker/installation.hpp"
#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"
#include "policy/decide.hpp"
#include "schema/commands.hpp"

namespace sallyport::broker {

/// Runs `executable` with `arguments` as `user`, with `descriptors` as 4, 5, ... and our standard error, and
/// gives back all that it writes on descriptor 3 until it ends. An exit status other than 0 is an error; its
/// message is on standard error already. Errors: kSystem, kLimit (more than `limit` bytes, or the deadline
/// passed), kInvalid (exit status).
struct ToolRun {
    FdRef executable;
    std::vector<std::string> arguments;
    std::vector<FdRef> descriptors;
    PlainUser user;
    std::size_t limit = 0;
    int deadline_ms = 0;
};
Result<std::string> run_tool(const ToolRun& run);

/// A child that was started, and what the broker keeps of it.
struct Helper {
    pid_t pid = -1;
    UniqueFd socket;
    UniqueFd proc;    // /proc/PID, and
    UniqueFd status;  // its status, both opened before it became what it is
};

/// Starts the guard executable, which outlives us for as long as something is frozen. Errors: kSystem.
Result<Helper> start_guard(FdRef executable);

/// Starts the launcher executable as it is: it confines itself when it has its table. Errors: kSystem.
Result<Helper> start_launcher(FdRef executable);

/// Starts the recorder executable, to keep the log of the ring's lines in the state directory, and the latest time. It outlives
/// us until all is written. Errors: kSystem.
struct RecorderFiles {
    FdRef state;
    FdRef ring;
    FdRef clock;
};
Result<Helper> start_recorder(FdRef executable, const RecorderFiles& files, const policy::AuditTerms& terms);

/// Starts the files hand executable with its setup, a sealed memory file. It confines itself. Errors: kSystem.
Result<Helper> start_files(FdRef executable, FdRef setup, FdRef state);

/// Starts the worker executable as nursery: pid 1 of new user, mount, net, ipc, uts, pid and cgroup
/// namespaces, with only `user` mapped. Errors: kSystem with the step's name.
Result<Helper> start_nursery(FdRef executable, const PlainUser& user);

/// Starts the inspector as pid 1 of new user, ipc, pid and cgroup namespaces, with only `user` mapped, to answer
/// `commands`. Errors: kSystem with the step's name.
Result<Helper> start_inspector(FdRef executable, const PlainUser& user, CommandSet commands);

}  // namespace sallyport::broker
