// Takes out of a reply what the policy does not show.
// Runs in:  broker, after lockdown()
// Input:    replies of the inspector in canonical form; their values are whatever the guest's users chose
// Relies on: policy/decide for what is shown
#pragma once

#include "ipc/broker.pb.h"
#include "policy/decide.hpp"

namespace sallyport::broker {

/// Leaves in the reply to `command` the entries and members that a rule shows at that moment.
void filter_reply(const policy::Policy& policy, CommandId command, policy::WallTime now, ipc::Reply& reply);

}  // namespace sallyport::broker
