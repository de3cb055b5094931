// Frames to and from the guard.
// Runs in:  broker
// Input:    frames of the guard, which never holds a byte of the host; they are checked all the same
#pragma once

#include <optional>

#include "broker/serve/session.hpp"
#include "ipc/guard.pb.h"

namespace sallyport::broker {

/// Errors: kClosed, kLimit (it does not read), kSystem.
Status tell_guard(FdRef guard, const ipc::GuardRequest& request);

/// The guard's next frame, if there is one. Errors: kClosed (it is gone), kInvalid (unexpected frame), kSystem.
Result<std::optional<ipc::GuardReply>> receive_from_guard(FdRef guard);

/// Orders for the guard, about the request that waits for it. Within kGuardTimeoutNs it must begin, or report on a thaw. If the
/// guard is gone, hear_guard() says so.
void order_freeze(Freezing& freezing);
void order_trim(Freezing& freezing, std::uint32_t row, std::uint64_t minimum);
void order_thaw(Freezing& freezing);

}  // namespace sallyport::broker
