// What the files hand must be able to do. This follows from the policy, and from what exists when the agent starts.
// Runs in:  starter, which looks and compares; files, before lockdown()
// Input:    the admin's policy; what is at its paths, which local users and servers control
#pragma once

#include <vector>

#include "base/complaint.hpp"
#include "ipc/files.pb.h"
#include "policy/decide.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::files {

/// Looks at the path of each file rule, in order. Waits no longer than survey() does. Errors: kSystem.
Result<std::vector<ipc::SeenPath>> look_at_rules(const policy::Policy& policy);

/// Calls `about_one` for each file rule, with its rule and with what was seen.
template <typename F>
void for_each_seen(const policy::Policy& policy, const std::vector<ipc::SeenPath>& seen, const F& about_one) {
    std::size_t next = 0;
    for (const policy::Rule& rule : policy.rules)
        for (const policy::FileRule& file : rule.files) {
            SALLYPORT_CHECK(next < seen.size());
            about_one(rule, file, seen[next++]);
        }
}

/// The rights that opens need; the trees are not opened yet.
///
/// Landlock knows directories by inode and does not reach through a mount that hides one. So the granted directory is above the
/// rule's: as low as possible, but not so low that something may later be mounted over it, or that it does not answer.
sandbox::FilesNeeds needs_of(const policy::Policy& policy, const std::vector<ipc::SeenPath>& seen);

/// Opens the trees; `kept` owns their descriptors. Errors: kSystem.
Checked<void> open_trees(sandbox::FilesNeeds& needs, std::vector<UniqueFd>& kept);

/// THREAT: the owner of a link on the way to an allowed directory chooses which directory that is. Each open looks for such links
/// again, so this check is not for security: it tells the admin. Errors: kInvalid if a link was seen, about that rule.
Checked<void> refuse_links(const policy::Policy& policy, const std::vector<ipc::SeenPath>& seen);

}  // namespace sallyport::files
