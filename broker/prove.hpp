// Self-proof at start: each kind of process is shown by the kernel to hold what it should, before a host byte
// is read.
// Runs in:  broker, the nursery's part before lockdown(), its own part after

#pragma once

#include "broker/files_hand.hpp"
#include "broker/spawn.hpp"
#include "ipc/launcher.pb.h"
#include "sandbox/lockdown.hpp"

namespace sallyport::broker {

/// Waits until the nursery says that it is confined and compares it with what it should be; then has it fork
/// one worker for a channel of ours, compares that too, and ends it. All later workers are made in the same
/// way. Errors: kProof with the first difference; kLimit if an answer does not come in time; kClosed,
/// kSystem.
Status prove_nursery(const Helper& nursery, const PlainUser& user);

/// Compares the guard, which has said that it is confined, with what it should be. Errors: kProof, kSystem.
Status prove_guard(const Helper& guard);

/// Waits until the recorder says that it is confined and has the log, and compares it with what it should be.
/// Errors: kProof, kLimit, kClosed (what is wrong is on standard error), kSystem.
Status prove_recorder(const Helper& recorder);

/// Gives the launcher its table, waits until it says that it is ready, and compares what it holds.
/// Errors: kProof, also if a program or hook of the table can be changed by others; kLimit, kClosed, kSystem.
Status prove_launcher(const Helper& launcher, const ipc::LauncherTable& table);

/// Gives the inspector its rules, waits until it says that it is confined and compares it with what it should be. Errors: as above.
Status prove_inspector(const Helper& inspector, const PlainUser& user, const ipc::ReplyRules& rules);

/// Waits until the files hand says that it is confined and compares it with what it should be. Then has it start its first clerk.
/// Errors: as above.
Result<FilesHand> prove_files(Helper& files, const sandbox::FilesNeeds& needs);

/// Compares ourselves. `own_status` is /proc/self/status, opened before lockdown.
/// Errors: kProof, kSystem.
Status prove_broker(FdRef own_status);

}  // namespace sallyport::broker
