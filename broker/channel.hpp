// The way to the host: a serial device, or a socket on which the host connects.
// Runs in:  broker; opened before lockdown(), accepted from afterwards
// Input:    connections of anybody who can reach the socket
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"
#include "policy/decide.hpp"
#include "policy/policy.pb.h"

namespace sallyport::broker {

using ChannelKind = policy::compiled::Service::Method;

struct Channel {
    ChannelKind kind = policy::compiled::Service::METHOD_UNSPECIFIED;
    UniqueFd fd;  // the device, or the listening socket
    [[nodiscard]] bool listens() const {
        return kind == policy::compiled::Service::UNIX_LISTEN ||
               kind == policy::compiled::Service::VSOCK_LISTEN;
    }
};

/// Opens the device that the options name, or takes the listening socket that a service manager passed (LISTEN_FDS). A channel
/// that is still to listen has no descriptor. With retry_path a missing device is waited for.
/// Errors: kSystem, kInvalid (activation). The texts are qemu-ga's where it has one.
Result<Channel> open_channel(const policy::compiled::Service& options);

/// Makes the socket of a channel that listens; nothing for any other. To be called when all else is done, so that whoever finds
/// the socket is answered. A unix socket has mode 0600, or 0666 if the policy names peers of other users; only a socket is ever
/// removed to make room for it. Errors: kSystem, kInvalid (what is there is no socket), kLimit (the path is too long).
Status start_listening(Channel& channel, const policy::compiled::Service& options,
                       const policy::Policy& policy);

/// One accepted connection, or who was turned away.
struct Accepted {
    UniqueFd fd;             // not open: turned away
    std::uint32_t peer = 0;  // user id (unix) or context id (vsock)
};

/// Takes the next connection.
///
/// THREAT: any local user can try to be the host. Unix: only root, our own user and the policy's peers.uids;
/// vsock: only the host (context id 2) and the policy's peers.cids. Errors: kSystem.
Result<Accepted> accept_host(const Channel& channel, const policy::Policy& policy);

}  // namespace sallyport::broker
