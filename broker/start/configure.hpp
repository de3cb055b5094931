// Reads the admin's options and policy, through the policy tool.
// Runs in:  starter
// Input:    the admin's files; base/trusted_file.hpp judges them
#pragma once

#include <string>
#include <vector>

#include "base/complaint.hpp"
#include "base/unique_fd.hpp"
#include "policy/decide.hpp"
#include "policy/policy.pb.h"

namespace sallyport::starter {

/// Opens a file or directory of the admin, as base/trusted_file.hpp does. A relative path begins at the working directory; the
/// way to that is judged too.
Checked<UniqueFd> open_of_admin(const std::string& path, int flags);

/// Errors: kSystem.
Result<std::string> working_directory();

/// The configuration file that is read where no other is named, also if it is not there.
std::string usual_config();

/// Has the sandboxed policy tool read our command line on top of the configuration file. That file is the one named by -c, else
/// by QGA_CONF, else /etc/qemu/qemu-ga.conf if it exists. Errors: those of spawn.hpp and of open_of_admin().
Checked<policy::compiled::Service> read_options(std::vector<std::string> words);

/// A policy, its compiled form, and the files of its folders.
struct ReadPolicy {
    policy::Policy policy;
    std::string compiled;
    std::vector<std::string> files = {};
};

/// Has the sandboxed policy tool compile the policy, and checks the result.
Checked<ReadPolicy> read_policy(const policy::compiled::Service& options);

/// Whether the systemd unit that we ship has started us.
bool is_started_by_unit();

/// Where the systemd unit starts the agent: refuses a policy that needs more than the unit gives, and names the missing drop-ins.
Checked<void> refuse_narrow_unit(const policy::Policy& policy);

}  // namespace sallyport::starter
