// One program that the host named, from its start until nothing of it is left.
// Runs in:  the supervisor, a child of the launcher for each such program
// Input:    what the launcher has decided; what the program writes
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/launcher.pb.h"

namespace sallyport::supervisor {

using Words = std::vector<std::string>;

/// What a supervisor and the launcher share.
struct Lines {
    /// Brings the launcher's one frame: number, template and capture of the order.
    FdRef socket;
    /// Takes what the program writes: standard output, then from the template's bound on standard error.
    FdRef memory;
    /// The encoded order with its words in full, once there is one.
    FdRef order;
    /// The program's control group; not open if there are none.
    FdRef group;
    /// Brings the program's own process a byte when there is an order, or ends if there never will be one.
    FdRef go;
};

/// One program that the host wants, as the launcher has decided: the order has all its words.
struct Launchable {
    const ipc::ExecTemplate& by;
    const ipc::ExecOrder& order;
    bool is_bound = false;  // its control group bounds memory and tasks
};

/// Forks the program's own process and waits for an order. Then that process executes the program, and this one keeps its output and
/// reports to the launcher. When the program's time is up, or the launcher is gone, kills all that is left of it, whatever session it is
/// in. Ends the calling process when nothing is left.
///
/// The slow part, two forks and the lockdown, happens before a host asks. INVARIANT: before the order, nothing in either process depends
/// on a host.
[[noreturn]] void supervise(const ipc::LauncherTable& table, const Lines& lines);

/// The time by CLOCK_MONOTONIC, which stands still while the machine sleeps.
std::int64_t now_ms();

/// Gives a new process the signals, umask and limits that a program expects. Returns 0, or the error.
int take_usual_state();

/// Reads the order from that memory file. Errors: kInvalid, kSystem.
Result<ipc::ExecOrder> read_order(FdRef file);

/// Makes the environment: the rule's variables, and those of the host that the rule lets it set.
Words environment_of(const Launchable& what);

/// Finds the program as qemu-ga does: a name without a slash by PATH, that of its environment if it has one. Returns 0, or the error.
///
/// THREAT: somebody other than root puts another program in its place. Only root can change the file and each directory on the way, so
/// its name still means the same when it is executed.
int locate(const std::string& name, const Words& env, std::string& path);

/// The program's standard input, output and error.
struct Ends {
    FdRef in;
    FdRef out;
    FdRef err;
};

/// In the program's process, before there is an order: does what every program needs. Returns 0, or the error.
int prepare_program();

/// In the same process, after that: becomes the program. Returns only with an error.
///
/// THREAT: a program gets what its rule does not give it. All our descriptors are closed, and its user and bounds are taken, in an order in
/// which each step is still permitted.
int become(const Launchable& what, const Ends& ends);

}  // namespace sallyport::supervisor
