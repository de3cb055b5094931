// Which files are the agent's own, so that no rule about files opens them.
// Runs in:  starter
// Input:    the admin's options and policy, names in his folders
#pragma once

#include <string>
#include <vector>

#include "base/complaint.hpp"
#include "broker/start/configure.hpp"

namespace sallyport::starter {

/// The agent's programs, configuration and records: folders, and the files in them. Of the state directory these are all names that an
/// agent gives to a file there. Relative paths of the options begin at the working directory. Errors: kSystem.
Checked<std::vector<std::string>> own_paths(const policy::compiled::Service& options, const ReadPolicy& read);

/// `own`, what the policy names for root or for the host to start, and what is in its folder of hooks now. Errors: those of open_trusted(),
/// of a folder that is there; kLimit.
Checked<std::vector<std::string>> untouchable(const policy::Policy& policy, std::vector<std::string> own);

}  // namespace sallyport::starter
