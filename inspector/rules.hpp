// Receives the inspector's part of the policy.
// Runs in:  inspector, before lockdown_inspector()
// Input:    frames of the broker, which is trusted
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/inspector.pb.h"

namespace sallyport::inspector {

/// Waits for all of the rules. Errors: kInvalid if a frame is not part of them, kLimit, kClosed, kSystem.
Result<ipc::ReplyRules> take_rules(FdRef control);

}  // namespace sallyport::inspector
