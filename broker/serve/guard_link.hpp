// Frames to and from the guard.
// Runs in:  broker
// Input:    frames of the guard, which never holds a byte of the host; what it says is checked all the same
#pragma once

#include <optional>

#include "broker/serve/session.hpp"
#include "ipc/guard.pb.h"

namespace sallyport::broker {

/// Errors: kClosed, kLimit (it does not read), kSystem.
Status tell_guard(FdRef guard, const ipc::GuardRequest& request);

/// What it has to say, if anything. Errors: kClosed (it is gone), kInvalid (unexpected frame), kSystem.
Result<std::optional<ipc::GuardReply>> receive_from_guard(FdRef guard);

/// Orders for the guard, about the request that waits there; it has kGuardTimeoutNs to begin with it, or to say what a thaw has come
/// to. If the guard is gone hear_guard() says so.
void order_freeze(Freezing& freezing);
void order_trim(Freezing& freezing, std::uint32_t row, std::uint64_t minimum);
void order_thaw(Freezing& freezing);

}  // namespace sallyport::broker
