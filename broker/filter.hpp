// Takes out of a reply what the policy does not show.
// Runs in:  broker, after lockdown()
// Input:    replies of the inspector in canonical form; their values are whatever the guest's users chose
// Relies on: policy/decide for what is shown
#pragma once

#include "ipc/broker.pb.h"
#include "policy/decide.hpp"

namespace sallyport::broker {

/// Leaves in the reply to what is asked the entries and members that a rule shows.
void filter_reply(const policy::Asked& asked, ipc::Reply& reply);

}  // namespace sallyport::broker
