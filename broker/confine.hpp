// The other processes of the agent: started, confined, and proved while we can still look at them.
// Runs in:  broker, before lockdown()
#pragma once

#include "base/complaint.hpp"
#include "broker/kept_time.hpp"
#include "broker/serve.hpp"

namespace sallyport::broker {

/// The guard, if a rule lets file systems be frozen or an earlier run left some frozen. To be called before anything is
/// opened to be written: the state directory may lie on one of those. Errors: of every step.
Checked<Freezing> confine_guard(const policy::Policy& policy, FdRef state);

/// The recorder. To be called before anything is to be recorded. Errors: of every step.
Checked<Audit> confine_recorder(const policy::Policy& policy, FdRef state, const KeptTime& kept_time);

/// The files hand, if a rule lets files be opened. Errors: of every step.
struct FilesTerms {
    const policy::Policy& policy;
    std::string compiled;          // the same
    std::vector<std::string> own;  // paths that no rule opens
    policy::WallTime floor;
};
Checked<FilesHand> confine_files(const FilesTerms& terms, FdRef state);

/// The nursery, and a rehearsal worker.
Checked<void> confine_nursery(Service& service);

/// The launcher, if the policy makes it necessary.
Checked<void> confine_launcher(Service& service);

/// The inspector, if the policy allows a command that it answers.
Checked<void> confine_inspector(Service& service);

/// Keeps our own memory from having to come from a disk, if there is a guard.
Status stay_in_memory(const Session& session);

}  // namespace sallyport::broker
