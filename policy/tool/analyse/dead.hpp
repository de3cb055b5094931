// Rules that make no difference.
// Runs in:  the policy tool
#pragma once

#include <cstddef>
#include <vector>

#include "policy/decide.hpp"
#include "policy/tool/analyse/coverage.hpp"

namespace sallyport::policy::analyse {

enum class Dead : std::uint8_t {
    kDenied,     // whatever the allow rule matches is denied
    kAllowed,    // other allow rules allow all of it, in the same way
    kDeniedToo,  // other deny rules refuse all of it
};

/// A rule, or an entry of one, that never decides anything, and the rules because of which.
struct DeadPart {
    Part part;
    Dead why = Dead::kDenied;
    std::vector<std::size_t> by;  // ascending
};

/// From `from` on. Rules about the floor alone are passed over, as are those that have expired.
std::vector<DeadPart> dead_parts(const Policy& policy, WallTime from);

}  // namespace sallyport::policy::analyse
