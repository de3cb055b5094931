// The other processes of the agent: started, told what follows from the policy, and proved while we can still look at them.
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

// Each gives back our end of the process's socket, or none if the policy does not make it necessary. Errors: of every step, about
// the process.

/// The guard, if a rule lets file systems be frozen or an earlier run left some frozen. To be called before anything is
/// opened to be written: the state directory may lie on one of those.
struct Guard {
    UniqueFd socket;
    bool is_frozen = false;  // still, what an earlier run has frozen
};
Checked<Guard> start_guard(const policy::Policy& policy, FdRef state);

/// The recorder.
struct RecorderFiles {
    FdRef state;
    FdRef ring;
    FdRef clock;
};
Checked<UniqueFd> start_recorder(const policy::AuditTerms& terms, const RecorderFiles& files);

/// The files hand, if a rule lets files be opened.
struct FilesTerms {
    const policy::Policy& policy;
    const std::string& compiled;   // the same
    std::vector<std::string> own;  // paths that no rule opens
    const std::vector<ipc::SeenPath>& seen;
    policy::WallTime floor = 0;
};
struct FilesHand {
    UniqueFd socket;
    std::vector<policy::Grant> unseen;  // what is denied and could not be looked at
    int not_kept = 0;                   // errno: what is denied cannot be written down for later runs
};
Checked<FilesHand> start_files(const FilesTerms& terms, FdRef state);

/// The nursery, and a rehearsal worker.
Checked<UniqueFd> start_nursery();

/// The launcher, if the policy names something that may be started. `floor`: the latest time that is known.
Checked<UniqueFd> start_launcher(const policy::Policy& policy, policy::WallTime floor,
                                 const ProgramGroups& groups);

/// The inspector, if the policy allows a command that it answers.
Checked<UniqueFd> start_inspector(const policy::Policy& policy);

}  // namespace sallyport::starter
