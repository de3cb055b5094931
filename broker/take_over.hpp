// What the broker inherits from the starter, which ran in the same process.
// Runs in:  broker, before lockdown()
// Input:    a sealed memory file from the starter, descriptor 3
#pragma once

#include <string>
#include <string_view>

#include "base/complaint.hpp"
#include "broker/serve/serve.hpp"
#include "broker/start/handover.pb.h"

namespace sallyport::broker {

/// A compiled policy, reduced by the service's options: commands that they block, and their hook. Errors: those of
/// policy::load().
Result<policy::Policy> load_policy(std::string_view compiled, const policy::compiled::Service& options);

/// The inherited descriptors, by purpose.
class Inheritance {
public:
    /// Reads the message and takes the descriptors that it names; all others are closed. Errors: kSystem; kInvalid if no starter
    /// made it.
    static Result<Inheritance> take();

    [[nodiscard]] const Handover& message() const { return message_; }
    [[nodiscard]] FdRef look(Handover::Descriptor what) const { return descriptors_.at(what); }
    UniqueFd take(Handover::Descriptor what) { return std::move(descriptors_.at(what)); }

private:
    Handover message_;
    std::array<UniqueFd, Handover::Descriptor_ARRAYSIZE> descriptors_;
};

/// Builds what serve() needs. `policy` must outlive it. Errors: of every step.
Checked<Service> make_service(Inheritance& inheritance, const policy::Policy& policy);

}  // namespace sallyport::broker
