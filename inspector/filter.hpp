// Removes from a reply what the policy does not show.
// Runs in:  inspector, in a child
// Input:    replies with values chosen by guest users; rules of the broker, which is trusted
//
// THREAT: a guest user takes over the child with a name, and has it show whatever he likes. He could tell the host himself. The
// rules are against the host, which reaches a child only with a command's name (docs/threat-model.md).
#pragma once

#include "inspector/shown.hpp"
#include "schema/inspect.pb.h"

namespace sallyport::inspector {

/// Leaves in the reply only the items and members that a rule shows.
void filter_reply(const Asked& asked, schema::Inspected& reply);

}  // namespace sallyport::inspector
