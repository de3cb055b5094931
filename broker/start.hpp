// What the broker does between its command line and its first host byte.
// Runs in:  broker, before and during lockdown()
#pragma once

#include "base/complaint.hpp"
#include "broker/serve.hpp"
#include "policy/decide.hpp"
#include "policy/policy.pb.h"
#include "sandbox/lockdown.hpp"

namespace sallyport::broker {

/// Opens the directories of all file rules; those that do not exist stay closed.
RuleTrees open_trees(const policy::Policy& policy);

/// What the policy makes necessary. Lends the descriptors of `trees` and `state_directory`.
sandbox::BrokerNeeds needs_of(const policy::Policy& policy, const RuleTrees& trees, const Channel& channel,
                              FdRef state_directory);

/// Opens all, starts the nursery, locks everything down, proves it, and gives back what serve() needs.
/// `policy` must outlive the service. Errors: of every step.
Checked<Service> start(const policy::compiled::Service& options, const policy::Policy& policy);

}  // namespace sallyport::broker
