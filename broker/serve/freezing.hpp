// The broker's end of the conversation with the guard, which freezes, thaws and trims.
// Runs in:  broker
// Input:    frames of the guard, which never holds a byte of the host; what it says is checked all the same
#pragma once

#include <optional>

#include "broker/serve/session.hpp"
#include "ipc/guard.pb.h"
#include "ipc/launcher.pb.h"

namespace sallyport::broker {

/// Which hooks the launcher is to be told to run now, if any. It is told by the caller, at once.
std::optional<ipc::LauncherRequest::Hooks> hooks_to_begin(Session& session);

/// The hooks have ended: goes on with the freeze, or gives it up; a thaw hook follows every freeze hook.
void conclude_hooks(const Context& context, const ipc::Outcome& outcome);

/// Gives up a request that the guard has not answered in time, if there is one.
bool end_late_order(const Context& context, std::int64_t now_ns);

/// What the guard has to say, if anything: ends requests that wait for it, and the frozen state. Errors: kClosed (it is
/// gone), kInvalid (unexpected frame).
Status hear_guard(const Context& context);

}  // namespace sallyport::broker
