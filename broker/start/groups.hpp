// Control groups (cgroup v2) for the programs that a host starts, where a service manager has given us a part of their tree.
// Runs in:  starter
#pragma once

#include "base/unique_fd.hpp"

namespace sallyport::starter {

/// What there is for programs.
struct ProgramGroups {
    UniqueFd directory;       // in which each gets a group of its own; not open: there are none
    bool has_bounds = false;  // for memory and tasks; else a group can only be killed as a whole
};

/// Moves us, and with us all that we start, out of our group into one below it, so that the rest of it is free for programs. What an
/// agent that was killed has left there is killed. Without Delegate=, which marks the group as ours, nothing is done.
ProgramGroups make_program_groups();

}  // namespace sallyport::starter
