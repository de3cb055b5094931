// Starts the agent's other processes, sends each its part of the policy, and proves it while /proc can still be read.
// Runs in:  starter
#pragma once

#include <string>
#include <vector>

#include "base/complaint.hpp"
#include "base/unique_fd.hpp"
#include "broker/start/groups.hpp"
#include "ipc/files.pb.h"
#include "policy/decide.hpp"

namespace sallyport::starter {

// Each function returns our end of the process's socket, or none if the policy does not need the process. Errors: of every step,
// about the process.

/// The guard, if a rule allows a freeze or an earlier run left file systems frozen. Call this before anything is opened for
/// writing: the state directory may be on a frozen file system.
struct Guard {
    UniqueFd socket;
    bool is_frozen = false;  // what an earlier run froze is still frozen
};
Checked<Guard> start_guard(const policy::Policy& policy, FdRef state);

/// The recorder.
struct RecorderFiles {
    FdRef state;
    FdRef ring;
    FdRef clock;
    FdRef budgets;
};
Checked<UniqueFd> start_recorder(const policy::AuditTerms& terms, const RecorderFiles& files);

/// The files hand, if a rule lets files be opened.
struct FilesTerms {
    const policy::Policy& policy;
    const std::string& compiled;   // the compiled form of `policy`
    std::vector<std::string> own;  // paths that no rule opens
    const std::vector<ipc::SeenPath>& seen;
    policy::WallTime floor = 0;
};
struct FilesHand {
    UniqueFd socket;
    std::vector<policy::Grant> unseen;  // deny rules whose path could not be looked at
    int not_kept = 0;                   // errno: what is denied cannot be written down for later runs
};
Checked<FilesHand> start_files(const FilesTerms& terms, FdRef state);

/// The nursery, proved together with a rehearsal worker.
Checked<UniqueFd> start_nursery();

/// The launcher, if the policy names any program. `floor`: the latest known time.
Checked<UniqueFd> start_launcher(const policy::Policy& policy, policy::WallTime floor,
                                 const ProgramGroups& groups);

/// The inspector, if the policy allows a command that it answers.
Checked<UniqueFd> start_inspector(const policy::Policy& policy);

}  // namespace sallyport::starter
