// Opening the way to the host: a serial device, or a socket on which the host connects; and the way to a service manager.
// Runs in:  starter
#pragma once

#include "broker/serve/channel.hpp"

namespace sallyport::starter {

/// Opens the device that the options name, or takes the listening socket that a service manager passed (LISTEN_FDS). A channel
/// that is still to listen has no descriptor. With retry_path a missing device is waited for.
/// Errors: kSystem, kInvalid (activation). The texts are qemu-ga's where it has one.
Result<broker::Channel> open_channel(const policy::compiled::Service& options);

/// Makes the socket of a channel that listens; nothing for any other. To be called when all else is done, so that whoever finds
/// the socket is answered. A unix socket has mode 0600, or 0666 if the policy names peers of other users; only a socket is ever
/// removed to make room for it. Errors: kSystem, kInvalid (what is there is no socket), kLimit (the path is too long).
Status start_listening(broker::Channel& channel, const policy::compiled::Service& options,
                       const policy::Policy& policy);

/// Connects to the datagram socket that NOTIFY_SOCKET names; without that variable there is none. Errors: kSystem, kLimit.
Result<UniqueFd> connect_to_manager();

}  // namespace sallyport::starter
