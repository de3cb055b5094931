// What the admin wrote down, read by the policy tool.
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

/// Opens a file or directory of the admin's, as base/trusted_file.hpp does. A relative path begins at the working directory,
/// the way to which is judged too.
Checked<UniqueFd> open_of_admin(const std::string& path, int flags);

/// Errors: kSystem.
Result<std::string> working_directory();

/// Has the policy tool read our command line over the configuration file's keys, in its sandbox.
/// The file is the one that -c names, else QGA_CONF's, else /etc/qemu/qemu-ga.conf if that exists.
/// Errors: those of spawn.hpp and of open_of_admin().
Checked<policy::compiled::Service> read_options(std::vector<std::string> words);

/// A policy, and its compiled form.
struct ReadPolicy {
    policy::Policy policy;
    std::string compiled;
};

/// Has the policy tool compile the policy, in its sandbox, and checks the result.
Checked<ReadPolicy> read_policy(const policy::compiled::Service& options);

}  // namespace sallyport::starter
