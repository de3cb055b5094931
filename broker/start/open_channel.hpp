// Opens the channel to the host (a serial device or a socket on which the host connects) and the socket to a service manager.
// Runs in:  starter
#pragma once

#include "broker/serve/channel.hpp"

namespace sallyport::starter {

/// Opens the device that the options name, or takes the listening socket from a service manager (LISTEN_FDS). A channel that has
/// yet to listen has no descriptor. With retry_path, waits for a missing device. Errors: kSystem, kInvalid (activation). The
/// texts are qemu-ga's where it has one.
Result<broker::Channel> open_channel(const policy::compiled::Service& options);

/// Creates the socket of a channel that listens; does nothing for others. This is the last step, so that whoever finds the socket
/// is answered. A unix socket has mode 0600, or 0666 if the policy names peers of other users. Only a socket is ever removed to
/// make room for it. Errors: kSystem, kInvalid (something else is at the path), kLimit (the path is too long).
Status start_listening(broker::Channel& channel, const policy::compiled::Service& options,
                       const policy::Policy& policy);

/// Connects to the datagram socket in NOTIFY_SOCKET; without that variable there is none. Errors: kSystem, kLimit.
Result<UniqueFd> connect_to_manager();

}  // namespace sallyport::starter
