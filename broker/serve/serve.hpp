// The loop: accepts hosts, starts workers, handles their frames and their ends.
// Runs in:  broker, after lockdown()
#pragma once

#include <cstdint>

#include "broker/serve/audit.hpp"
#include "broker/serve/channel.hpp"
#include "broker/serve/notify.hpp"
#include "broker/serve/session.hpp"
#include "broker/serve/workers.hpp"

namespace sallyport::broker {

struct Service {
    Session session;
    Channel channel;
    UniqueFd nursery;   // its socket
    UniqueFd launcher;  // its socket; closed if the policy needs none
    Audit audit;
    Notify notify;
    UniqueFd signals;  // a signalfd for SIGTERM, SIGINT and SIGHUP
};

/// Serves until told to stop, or until something is lost that cannot be replaced. Returns the exit status: 0 after SIGTERM or
/// SIGINT, 1 otherwise. The reason is in the audit log.
int serve(Service& service);

}  // namespace sallyport::broker
