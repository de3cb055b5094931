// A program's own control group (cgroup v2): it bounds memory and tasks of all that belongs to the program, and kills all of it at once.
// Runs in:  launcher, which makes, bounds and removes it; the supervisor, which kills it; the program's process, which enters it
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/launcher.pb.h"

namespace sallyport::supervisor {

struct Group {
    std::string name;  // empty if there are no groups
    UniqueFd directory;
};

/// Makes an empty group below `groups`. Errors: kSystem.
Result<Group> make_group(FdRef groups, std::uint64_t number);

/// Sets the bounds of `confine`, before the program is executed. Returns 0, or the error.
int bind_group(FdRef group, const ipc::ExecConfine& terms);

/// Moves the calling process into the group. Returns 0, or the error.
int enter_group(FdRef group);

/// Opens the file that, when "1" is written to it, ends all processes of the group and those that they start meanwhile.
UniqueFd open_killer(FdRef group);

/// Ends what is left in the group, and removes it. Returns false if some process is still dying; the next start of the agent removes it.
bool remove_group(FdRef groups, const std::string& name);

}  // namespace sallyport::supervisor
