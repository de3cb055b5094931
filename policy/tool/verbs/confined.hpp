// The compiler in a sandbox: first everything is opened, then the process locks itself down, then it parses.
// Runs in:  the policy tool
// Input:    the admin's text, which may come from anywhere

#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.hpp"
#include "policy/policy.pb.h"
#include "policy/tool/compile/zone.hpp"
#include "policy/tool/verbs/fragment_files.hpp"

namespace sallyport::policy::cli {

struct CompilerInput {
    UniqueFd policy;
    UniqueFd passwd;
    UniqueFd group;
    UniqueFd zones;                      // the directory of time zones, if there is one
    std::string name;                    // of the policy, in messages
    compiled::Fragments fragments = {};  // the files of its folders
    UniqueFd fragments_fd = {};          // if it is open, they are read from this
};

/// Opens a policy by its path, /etc/passwd and /etc/group, and reads the files of its folders. If that fails, prints an error and
/// returns nothing.
std::optional<CompilerInput> open_input(const std::string& policy_path, const Folders& folders = {});

/// Reads files below the directory of time zones, also after the lockdown, as far as that grants it.
compile::ReadZone zones_in(const UniqueFd& directory);

/// Locks this process down, compiles, and writes the compiled form to `output`. Returns the exit status; afterwards the process
/// can only exit.
int compile_here(const CompilerInput& input, FdRef output);

/// Does the same in a child process and returns the compiled form, or nothing if the child has printed an error.
std::optional<std::string> compile_apart(const CompilerInput& input);

}  // namespace sallyport::policy::cli
