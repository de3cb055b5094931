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

/// What a supervisor and the launcher have in common.
struct Lines {
    FdRef socket;  // the launcher's one frame: of an order its number, template and capture
    FdRef
        memory;  // what the program writes: standard output, then from the template's bound on standard error
    FdRef order;  // the encoded order with its words in full, once there is one
    FdRef group;  // the program's; not open: there are no groups
    FdRef go;     // a byte for the program's own process when there is one; its end if there never will be
};

/// One program that the host wants, as the launcher has decided about it: the order has all its words.
struct Launchable {
    const ipc::ExecTemplate& by;
    const ipc::ExecOrder& order;
    bool is_bound = false;  // memory and tasks, by its control group
};

/// Makes the program's own process, and waits for an order. Then has the program started by that, keeps what it writes, and tells
/// the launcher what becomes of it. Once its time is up, or the launcher is gone, all that is left of it is killed, whatever session
/// it is in. Ends the process when nothing is left.
///
/// What takes long, two forks and the lockdown, is done before a host asks. INVARIANT: until the order, nothing in either process
/// depends on a host.
[[noreturn]] void supervise(const ipc::LauncherTable& table, const Lines& lines);

/// CLOCK_MONOTONIC, which stands still while the machine sleeps.
std::int64_t now_ms();

/// In a new process: signals, umask and limits as a program expects them. 0, or the error.
int take_usual_state();

/// The order in that memory file. Errors: kInvalid, kSystem.
Result<ipc::ExecOrder> read_order(FdRef file);

/// The variables of the rule, and what of them the host may set.
Words environment_of(const Launchable& what);

/// Where the program is, as qemu-ga finds it: without a slash by PATH, that of its environment if it has one. 0, or the error.
///
/// THREAT: somebody but root puts another program in its place. What is found is only root's to change, on the whole way, so that
/// its name still means the same when it is executed.
int locate(const std::string& name, const Words& env, std::string& path);

/// The program's standard input, output and error.
struct Ends {
    FdRef in;
    FdRef out;
    FdRef err;
};

/// In the program's process, before there is an order: what every program gets. 0, or the error.
int prepare_program();

/// The same process, after that: becomes the program. Comes back with an error only.
///
/// THREAT: a program gets what its rule does not give it. All of ours is closed, its user and bounds are taken, in an order in which
/// each step still may be done.
int become(const Launchable& what, const Ends& ends);

}  // namespace sallyport::supervisor
