// The broker's end of the conversation with the guard, which freezes, thaws and trims.
// Runs in:  broker
// Input:    frames of the guard, which never holds a byte of the host; what it says is checked all the same
#pragma once

#include <optional>

#include "broker/dispatch.hpp"
#include "ipc/guard.pb.h"
#include "ipc/launcher.pb.h"

namespace sallyport::broker {

/// Gives the guard the rows of the policy and has it locked down; what it found frozen of an earlier run is in
/// `freezing`, which must have the socket. Before our own lockdown. `is_marked`: an earlier run left the mark;
/// `state_directory`: if that is on a frozen file system everything is thawed. Errors: kProof, kLimit, kClosed, kSystem.
Status set_up_guard(Freezing& freezing, const policy::Policy& policy, bool is_marked, FdRef state_directory);

/// Orders for the guard, about session.freezing.pending where that is needed. If the guard is gone hear_guard() says so.
void order_freeze(Session& session);
void order_trim(Session& session, std::uint64_t minimum);
void order_thaw(Session& session);

/// Which hooks the launcher is to be told to run now, if any. It is told by the caller, at once.
std::optional<ipc::LauncherRequest::Hooks> hooks_to_begin(Session& session);

/// The hooks have ended: goes on with the freeze, or gives it up; a thaw hook follows every freeze hook.
std::optional<Violation> conclude_hooks(Session& session, Audit& audit, const ipc::Outcome& outcome,
                                        const SendReply& send);

/// What the guard has to say, if anything: ends requests that wait for it, and the frozen state. Errors: kClosed (it is
/// gone), kInvalid (not a reply of its). Gives back the violation if the worker does not read what it is told.
Result<std::optional<Violation>> hear_guard(Session& session, Audit& audit, const SendReply& send);

/// Tells the worker if the frozen state is another than it knows.
std::optional<Violation> tell_frozen(Session& session, const SendReply& send);

}  // namespace sallyport::broker
