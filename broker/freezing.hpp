// The broker's end of the conversation with the guard, which freezes, thaws and trims.
// Runs in:  broker
// Input:    frames of the guard, which never holds a byte of the host; what it says is checked all the same
#pragma once

#include <optional>

#include "broker/dispatch.hpp"
#include "ipc/guard.pb.h"
#include "ipc/launcher.pb.h"

namespace sallyport::broker {

/// Which hooks the launcher is to be told to run now, if any. It is told by the caller, at once.
std::optional<ipc::LauncherRequest::Hooks> hooks_to_begin(Session& session);

/// The hooks have ended: goes on with the freeze, or gives it up; a thaw hook follows every freeze hook.
std::optional<Violation> conclude_hooks(Session& session, Audit& audit, const ipc::Outcome& outcome,
                                        const SendReply& send);

/// What the guard has to say, if anything: ends requests that wait for it, and the frozen state. Errors: kClosed (it is
/// gone), kInvalid (not a reply of its). Gives back the violation if the worker does not read what it is told.
Result<std::optional<Violation>> hear_guard(Session& session, Audit& audit, const SendReply& send);

/// Writes the lines of the requests that still wait for the guard when the broker ends.
void conclude_waiting(Session& session, Audit& audit);

/// Tells the worker if the frozen state is another than it knows.
std::optional<Violation> tell_frozen(Session& session, const SendReply& send);

}  // namespace sallyport::broker
