// What the broker does between its command line and its first host byte.
// Runs in:  broker, before and during lockdown()
#pragma once

#include "base/complaint.hpp"
#include "broker/configure.hpp"
#include "broker/serve.hpp"
#include "policy/policy.pb.h"

namespace sallyport::broker {

/// What no rule opens: where the agent keeps what it is, what it obeys and what it has recorded. Relative paths of the options begin
/// at the working directory. Errors: kSystem.
Checked<std::vector<std::string>> own_paths(const policy::compiled::Service& options);

/// Opens all, starts the nursery, locks everything down, proves it, and gives back what serve() needs.
/// `read` must outlive the service; `own` are own_paths(). Errors: of every step.
Checked<Service> start(const policy::compiled::Service& options, const ReadPolicy& read,
                       const std::vector<std::string>& own);

}  // namespace sallyport::broker
