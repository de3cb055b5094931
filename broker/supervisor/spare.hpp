// A supervisor and a program's own process, which wait for an order: made when nothing else is to be done, so that no host waits for that.
// Runs in:  launcher
// Input:    orders that the launcher has decided about
#pragma once

#include "base/unique_fd.hpp"
#include "broker/supervisor/group.hpp"
#include "ipc/launcher.pb.h"

namespace sallyport::supervisor {

struct Spare {
    UniqueFd socket;  // of its supervisor; not open: there is none
    UniqueFd memory;  // what the program writes
    UniqueFd order;
    UniqueFd go;
    Group group;
};

/// One that nobody has asked for yet, in that group. If that fails, its socket is not open, and errno says why.
Spare make_spare(const ipc::LauncherTable& table, Group group);

/// Bounds its group and tells both what is to be started, with its words in full; the program's own process does not wait for its
/// supervisor. 0, or the error: then it is to be closed, which ends both.
int hand_over(const Spare& spare, const ipc::LauncherTable& table, const ipc::ExecOrder& order);

}  // namespace sallyport::supervisor
