// Runs in:  broker, after lockdown()
#include "broker/serve/session.hpp"

namespace sallyport::broker {

Result<std::int64_t> HandleCounter::take() {
    if (next_ == end_) return failure(Errc::kLimit, "the handles of this run are used up");
    return next_++;
}

std::string_view rule_id(const policy::Policy& policy, const policy::Decision& decision) {
    return decision.rule == policy::kNoRule ? std::string_view() : policy.rules[decision.rule].id;
}

}  // namespace sallyport::broker
