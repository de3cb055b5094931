// The channel to the host: a serial device, or a socket on which the host connects.
// Runs in:  broker (accepts), starter (opens)
// Input:    connections from anybody who can reach the socket
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "policy/decide.hpp"
#include "policy/policy.pb.h"

namespace sallyport::broker {

using ChannelKind = policy::compiled::Service::Method;

struct Channel {
    ChannelKind kind = policy::compiled::Service::METHOD_UNSPECIFIED;
    UniqueFd fd;  // the device or the listening socket
    [[nodiscard]] bool listens() const {
        return kind == policy::compiled::Service::UNIX_LISTEN ||
               kind == policy::compiled::Service::VSOCK_LISTEN;
    }
};

/// A connection, accepted or turned away.
struct Accepted {
    UniqueFd fd;             // closed: turned away
    std::uint32_t peer = 0;  // user id (unix) or context id (vsock)
};

/// Accepts the next connection.
///
/// THREAT: any local user can try to be the host. Unix: only root, our own user and the policy's peers.uids. Vsock: only the host
/// (context id 2) and the policy's peers.cids. Errors: kSystem.
Result<Accepted> accept_host(const Channel& channel, const policy::Policy& policy);

}  // namespace sallyport::broker
