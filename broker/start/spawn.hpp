// Starting what the starter starts, by the rows of processes.hpp, and becoming the broker at the end.
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

/// Runs the policy tool with `arguments`, with `descriptors` as 4, 5, ... and our standard error, and gives back all that it writes
/// on descriptor 3 until it ends. An exit status other than 0 is an error; its message is on standard error already. Errors:
/// kSystem, kLimit (more than kMaxCompiledSize bytes, or kCompileDeadlineMs passed), all about the tool's path; kInvalid (exit
/// status), about `input`, which is what it reads for us.
struct ToolRun {
    std::string input;
    std::vector<std::string> arguments;
    std::vector<FdRef> descriptors;
};
Checked<std::string> run_tool(const ToolRun& run);

/// A child that was started, and what the starter keeps of it.
struct Running {
    pid_t pid = -1;
    UniqueFd socket;
    UniqueFd proc;    // /proc/PID, and
    UniqueFd status;  // its status, both opened before it became what it is
};

/// What of a program is not in its row.
struct Terms {
    std::vector<std::string> words = {};  // the last of its arguments, behind the ids of a plain user
    // What its row lends it.
    FdRef state = FdRef(-1);
    FdRef ring = FdRef(-1);
    FdRef clock = FdRef(-1);
    FdRef setup = FdRef(-1);
    FdRef groups = FdRef(-1);  // not open: there are none
};

/// Starts a program that speaks with us by a socket: in the namespaces, as the user, with the descriptors of its row, and nothing of
/// ours besides. It waits until we have looked at it. Errors: kSystem with the step's name, about its path.
Checked<Running> start(const Process& row, const Terms& terms);

/// A memory file that nobody can change. Errors: kSystem.
Result<UniqueFd> sealed(std::string_view bytes);

/// Executes the broker in our place: the setup becomes 3, the others follow. Comes back only if that fails.
Complaint execute_broker(FdRef setup, std::span<const UniqueFd> others);

}  // namespace sallyport::starter
