// What this installation consists of: whom its processes without privilege run as, and where its programs are.
// Runs in:  broker, before lockdown()
#pragma once

#include <sys/types.h>

#include <span>

#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"

namespace sallyport::broker {

/// The ids that processes without privilege run as: the user sallyport if we are root (nobody where there is
/// no such user), else our own.
struct PlainUser {
    uid_t uid = 0;
    gid_t gid = 0;
};
PlainUser plain_user();

/// Opens an executable of this installation, found relative to our own: "../libexec/sallyport/worker" and, in
/// a build tree,
/// "../worker/worker". `candidates` are tried in order.
///
/// THREAT: somebody else can write what we are about to run. The opened file must belong to root or to us and
/// be writable by its owner only. Errors: kSystem, kProof.
Result<UniqueFd> open_helper(std::span<const char* const> candidates);

}  // namespace sallyport::broker
