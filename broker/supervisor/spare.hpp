// A supervisor and a program's own process, which wait for an order. The launcher starts them when it has nothing else to do, so that no
// host waits for that.
// Runs in:  launcher
// Input:    orders that the launcher has decided about
#pragma once

#include "base/unique_fd.hpp"
#include "broker/supervisor/group.hpp"
#include "ipc/launcher.pb.h"

namespace sallyport::supervisor {

struct Spare {
    UniqueFd socket;  // to the supervisor; not open if there is none
    UniqueFd memory;  // what the program writes
    UniqueFd order;
    UniqueFd go;
    Group group;
};

/// Starts both, in that group. If that fails, the socket is not open and errno says why.
Spare make_spare(const ipc::LauncherTable& table, Group group);

/// Bounds the group, and sends both the order with all its words; the program's own process does not wait for its supervisor. Returns 0,
/// or the error: then the caller closes the socket, which ends both.
int hand_over(const Spare& spare, const ipc::LauncherTable& table, const ipc::ExecOrder& order);

}  // namespace sallyport::supervisor
