// What the broker has from the starter, whose process it goes on in.
// Runs in:  broker, before lockdown()
// Input:    a sealed memory file that the starter made, descriptor 3
#pragma once

#include <string>
#include <string_view>

#include "base/complaint.hpp"
#include "broker/serve/serve.hpp"
#include "broker/start/handover.pb.h"

namespace sallyport::broker {

/// A compiled policy as the service's options leave it: commands that these take away, and their hooks. Errors: those of
/// policy::load().
Result<policy::Policy> load_policy(std::string_view compiled, const policy::compiled::Service& options);

/// The descriptors by what they are.
class Inheritance {
public:
    /// Reads the message, and takes the descriptors that it names; all others are closed. Errors: kSystem; kInvalid if it is not what a
    /// starter makes.
    static Result<Inheritance> take();

    [[nodiscard]] const Handover& message() const { return message_; }
    [[nodiscard]] FdRef look(Handover::Descriptor what) const { return descriptors_.at(what); }
    UniqueFd take(Handover::Descriptor what) { return std::move(descriptors_.at(what)); }

private:
    Handover message_;
    std::array<UniqueFd, Handover::Descriptor_ARRAYSIZE> descriptors_;
};

/// What serve() needs. `policy` must outlive it. Errors: of every step.
Checked<Service> make_service(Inheritance& inheritance, const policy::Policy& policy);

}  // namespace sallyport::broker
