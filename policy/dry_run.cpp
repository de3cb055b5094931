// Runs in:  broker; the policy tool
#include <iterator>
#include <utility>

#include "policy/decide.hpp"

namespace sallyport::policy {

Policy with_dry_runs(const Policy& policy) {
    Policy tried = policy;
    std::ranges::move(std::exchange(tried.dry_runs, {}), std::back_inserter(tried.rules));
    return tried;
}

}  // namespace sallyport::policy
