// One program that the host named, from its start until nothing of it is left.
// Runs in:  the supervisor, a child of the launcher for each such program
// Input:    what the launcher has decided; what the program writes
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "ipc/launcher.pb.h"

namespace sallyport::supervisor {

using Words = std::vector<std::string>;

/// One program that the host wants, as the launcher has decided about it.
struct Launchable {
    const ipc::ExecTemplate& by;
    const ipc::ExecOrder& order;
    Words words;  // the program as the host names it, and its arguments
};

/// Starts the program in a child, keeps what that writes in `memory` (standard output, then from the template's bound on standard
/// error), and tells `socket` what becomes of it. Once its time is up, or the launcher is gone, all that is left of it is killed,
/// whatever session it is in. Ends the process when nothing is left.
[[noreturn]] void supervise(const Launchable& what, FdRef socket, FdRef memory);

/// CLOCK_MONOTONIC, which stands still while the machine sleeps.
std::int64_t now_ms();

/// In a new process: signals, umask and limits as a program expects them. 0, or the error.
int take_usual_state();

/// The variables of the rule, and what of them the host may set.
Words environment_of(const Launchable& what);

/// Where the program is, as qemu-ga finds it: without a slash by PATH, that of its environment if it has one. 0, or the error.
///
/// THREAT: somebody but root puts another program in its place. What is found is only root's to change, on the whole way, so that
/// its name still means the same when it is executed.
int locate(const std::string& name, const Words& env, std::string& path);

/// The program's standard input, output and error.
struct Ends {
    UniqueFd in;
    UniqueFd out;
    UniqueFd err;
};

/// In the program's process: becomes the program. Comes back with an error only.
///
/// THREAT: a program gets what its rule does not give it. All of ours is closed, its user and bounds are taken, in an order in which
/// each step still may be done.
int become(const Launchable& what, const std::string& path, const Ends& ends);

}  // namespace sallyport::supervisor
