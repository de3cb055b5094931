// Takes out of a reply what the policy does not show.
// Runs in:  inspector, in a child
// Input:    replies whose values are whatever the guest's users chose; rules of the broker, which is trusted
//
// THREAT: a user of the guest whose name took the child over has what he likes shown. He could tell the host himself; the host,
// against whom the rules are, reaches a child only by a command's name (docs/threat-model.md).
#pragma once

#include "inspector/shown.hpp"
#include "schema/inspect.pb.h"

namespace sallyport::inspector {

/// Leaves in the reply to what is asked the entries and members that a rule shows.
void filter_reply(const Asked& asked, schema::Inspected& reply);

}  // namespace sallyport::inspector
