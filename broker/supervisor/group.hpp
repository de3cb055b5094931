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
    std::string name;  // empty: there are none
    UniqueFd directory;
};

/// One that nobody is in, below `groups`. Errors: kSystem.
Result<Group> make_group(FdRef groups, std::uint64_t number);

/// Sets what `confine` says, before the program is executed. 0, or the error.
int bind_group(FdRef group, const ipc::ExecConfine& terms);

/// Moves the calling process into it. 0, or the error.
int enter_group(FdRef group);

/// What ends all that is in the group, and all that these start meanwhile, when "1" is written to it.
UniqueFd open_killer(FdRef group);

/// Ends what is left in it, and takes it away. False if something is still dying; then the next start of the agent does so.
bool remove_group(FdRef groups, const std::string& name);

}  // namespace sallyport::supervisor
