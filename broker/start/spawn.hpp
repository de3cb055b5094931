// Starts the processes by the rows of processes.hpp, and executes the broker at the end.
// Runs in:  starter
#pragma once

#include <sys/types.h>

#include <array>
#include <span>
#include <string>
#include <vector>

#include "base/complaint.hpp"
#include "base/unique_fd.hpp"
#include "broker/start/processes.hpp"

namespace sallyport::starter {

/// Runs the policy tool with `arguments`, `descriptors` as 4, 5, ... and our standard error. Returns all that it writes to
/// descriptor 3 until it ends. An exit status other than 0 is an error whose message is already on standard error. Errors:
/// kSystem, kLimit (more than kMaxCompiledSize bytes, or kCompileDeadlineMs passed), about the tool's path; kInvalid (exit
/// status), about `input`, the file that it read.
struct ToolRun {
    std::string input;
    std::vector<std::string> arguments;
    std::vector<FdRef> descriptors;
};
Checked<std::string> run_tool(const ToolRun& run);

/// A started child, and what the starter keeps of it.
struct Running {
    pid_t pid = -1;
    UniqueFd socket;
    UniqueFd proc;    // /proc/PID
    UniqueFd status;  // /proc/PID/status; both were opened before the exec
};

/// What a program needs besides its row.
struct Terms {
    std::vector<std::string> words = {};  // its last arguments, after the ids of a plain user
    // For its Lent descriptors.
    FdRef state = FdRef(-1);
    FdRef ring = FdRef(-1);
    FdRef clock = FdRef(-1);
    FdRef budgets = FdRef(-1);
    FdRef setup = FdRef(-1);
    FdRef groups = FdRef(-1);  // not open: there are none
};

/// Starts a program that talks to us over a socket, with the namespaces, user and descriptors of its row and nothing else of
/// ours. It waits until its /proc entry is open. Errors: kSystem with the step's name, about its path.
Checked<Running> start(const Process& row, const Terms& terms);

/// A sealed memory file, which nobody can change. Errors: kSystem.
Result<UniqueFd> sealed(std::string_view bytes);

/// Executes the broker in our place: the setup becomes descriptor 3, the others follow. Returns only on failure.
Complaint execute_broker(FdRef setup, std::span<const UniqueFd> others);

}  // namespace sallyport::starter
