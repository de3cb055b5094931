// The compiler where it can do no harm: everything is opened first, then the process locks itself down, then
// it parses.
// Runs in:  the policy tool
// Input:    the admin's text, which may have come from anywhere

#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.hpp"

namespace sallyport::policy::cli {

struct CompilerInput {
    UniqueFd policy;
    UniqueFd passwd;
    UniqueFd group;
    std::string name;  // of the policy, as it is shown
};

/// Opens a policy by its path, /etc/passwd and /etc/group. Complains and gives nothing if that fails.
std::optional<CompilerInput> open_input(const std::string& policy_path);

/// Locks this process down, compiles and writes the compiled form to `output`. Gives the exit status; the
/// process can do nothing but end afterwards.
int compile_here(const CompilerInput& input, FdRef output);

/// Does the same in a child process and gives the compiled form, or nothing when the child has complained.
std::optional<std::string> compile_apart(const CompilerInput& input);

}  // namespace sallyport::policy::cli
