// What the admin wrote down, read for the broker by the policy tool.
// Runs in:  broker, before lockdown()
// Input:    the admin's files; their owners and modes are checked on the opened descriptors
#pragma once

#include <string>
#include <vector>

#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"
#include "policy/decide.hpp"
#include "policy/policy.pb.h"

namespace sallyport::broker {

/// Opens a file or directory that only root and we can write. `what` is said if that is not so.
/// Errors: kSystem, kProof.
Result<UniqueFd> open_checked(const std::string& path, int flags, const char* what);

/// Has the policy tool read our command line over the configuration file's keys, in its sandbox.
/// The file is the one that -c names, else QGA_CONF's, else /etc/qemu/qemu-ga.conf if that exists.
/// Errors: those of spawn.hpp; kProof if the file belongs to others or can be written by them.
Result<policy::compiled::Service> read_options(std::vector<std::string> words);

/// Has the policy tool compile the policy, in its sandbox, and checks the result.
Result<policy::Policy> read_policy(const policy::compiled::Service& options);

}  // namespace sallyport::broker
