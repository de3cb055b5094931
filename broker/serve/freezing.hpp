// Freezes, thaws and trims: the requests that wait for the guard, the hooks and the frozen state.
// Runs in:  broker
// Input:    frames of the guard, which never holds a byte of the host; they are checked all the same
#pragma once

#include <optional>

#include "broker/serve/session.hpp"
#include "ipc/guard.pb.h"
#include "ipc/launcher.pb.h"

namespace sallyport::broker {

/// The hooks that the launcher has to run now, if any. The caller tells it at once.
std::optional<ipc::LauncherRequest::Hooks> hooks_to_begin(Session& session);

/// The hooks have ended: continues with the freeze or gives it up. A thaw hook follows every freeze hook.
void conclude_hooks(const Context& context, const ipc::Outcome& outcome);

/// Gives up a request that the guard has not answered in time, if there is one.
bool end_late_order(const Context& context, std::int64_t now_ns);

/// Takes one frame of the guard, if there is one: ends requests that wait for it, and the frozen state. Errors: kClosed (it is
/// gone), kInvalid (unexpected frame).
Status hear_guard(const Context& context);

}  // namespace sallyport::broker
