// What the files hand must be able to do, which follows from the policy, and from what is there when the agent starts.
// Runs in:  starter, which looks and compares; files, before lockdown()
// Input:    the admin's policy; what lies at its paths, which local users and servers decide
#pragma once

#include <vector>

#include "base/complaint.hpp"
#include "ipc/files.pb.h"
#include "policy/decide.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::files {

/// Looks at the path of each file rule, in their order. Nobody is waited for longer than survey() does. Errors: kSystem.
Result<std::vector<ipc::SeenPath>> look_at_rules(const policy::Policy& policy);

/// Calls `about_one` with each file rule, its rule, and what was seen of it.
template <typename F>
void for_each_seen(const policy::Policy& policy, const std::vector<ipc::SeenPath>& seen, const F& about_one) {
    std::size_t next = 0;
    for (const policy::Rule& rule : policy.rules)
        for (const policy::FileRule& file : rule.files) {
            SALLYPORT_CHECK(next < seen.size());
            about_one(rule, file, seen[next++]);
        }
}

/// The powers that opens need, with trees that are not opened yet.
///
/// Landlock knows directories by inode and does not reach through a mount that hides one, so what is granted lies above the
/// rule's directory: as low as possible, but not so low that something may later be mounted over it, or that it does not answer.
sandbox::FilesNeeds needs_of(const policy::Policy& policy, const std::vector<ipc::SeenPath>& seen);

/// Opens the trees; their descriptors are lent from `kept`. Errors: kSystem.
Checked<void> open_trees(sandbox::FilesNeeds& needs, std::vector<UniqueFd>& kept);

/// THREAT: whoever owns a link on the way to a directory that a rule allows chooses which directory that is. Each open looks for such
/// a link again, and so does not need this; the admin does. Errors: kInvalid if one was seen, about that rule.
Checked<void> refuse_links(const policy::Policy& policy, const std::vector<ipc::SeenPath>& seen);

}  // namespace sallyport::files
