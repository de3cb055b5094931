// What the files hand must be able to do, which follows from the policy.
// Runs in:  broker, before lockdown(), which compares; files, before lockdown()
// Input:    the admin's policy
#pragma once

#include <vector>

#include "base/complaint.hpp"
#include "policy/decide.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::files {

/// The powers that opens need. The descriptors in it are lent from `kept`. Errors: kSystem.
///
/// Landlock knows directories by inode and does not reach through a mount that hides one, so what is granted lies above the
/// rule's directory: as low as possible, but not so low that something may later be mounted over it.
Checked<sandbox::FilesNeeds> needs_of(const policy::Policy& policy, std::vector<UniqueFd>& kept);

/// THREAT: whoever owns a link on the way to a directory that a rule allows chooses which directory that is.
/// Errors: kInvalid if there is such a link, about that rule.
Checked<void> refuse_links(const policy::Policy& policy);

}  // namespace sallyport::files
