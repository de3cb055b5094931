// What is done between the command line and the first host byte: everything is opened, started and proved.
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

/// What the broker gets, and nothing besides: the message, and the descriptors that it names, in its order.
struct Outfit {
    broker::Handover message;
    std::vector<UniqueFd> descriptors;
    broker::Channel channel;  // added when it listens
    /// Nothing, if that one is not open.
    void add(broker::Handover::Descriptor what, UniqueFd descriptor);
};

/// What no rule opens: where the agent keeps what it is, what it obeys and what it has recorded. Relative paths of the options begin
/// at the working directory. Errors: kSystem.
Checked<std::vector<std::string>> own_paths(const policy::compiled::Service& options);

/// Opens all, and starts and proves every process but the broker. `own` are own_paths(). Errors: of every step.
Checked<Outfit> prepare(const policy::compiled::Service& options, const ReadPolicy& read,
                        const std::vector<std::string>& own);

/// Makes the socket of a channel that listens, when all else is done, and executes the broker in our place. Comes back only if one of
/// these fails; a socket that was made is gone then.
Complaint become_broker(Outfit& outfit, const policy::Policy& policy);

}  // namespace sallyport::starter
