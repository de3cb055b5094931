// From the command line to the first byte of the host: opens, starts and proves everything.
// Runs in:  starter
#pragma once

#include <string>
#include <vector>

#include "base/complaint.hpp"
#include "base/unique_fd.hpp"
#include "broker/serve/channel.hpp"
#include "broker/start/configure.hpp"
#include "broker/start/handover.pb.h"

namespace sallyport::starter {

/// All that the broker gets: the message, and the descriptors that it names, in order.
struct Outfit {
    broker::Handover message;
    std::vector<UniqueFd> descriptors;
    broker::Channel channel;  // added once it listens
    /// Does nothing if `descriptor` is not open.
    void add(broker::Handover::Descriptor what, UniqueFd descriptor);
};

/// Opens everything, and starts and proves every process but the broker. `own`: own_paths(). Errors: of every step.
Checked<Outfit> prepare(const policy::compiled::Service& options, const ReadPolicy& read,
                        const std::vector<std::string>& own);

/// Creates the socket of a channel that listens, then executes the broker in our place. Returns only if one of these fails; the
/// socket is then removed again.
Complaint become_broker(Outfit& outfit, const policy::Policy& policy);

}  // namespace sallyport::starter
