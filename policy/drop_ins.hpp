// Which drop-ins of the systemd unit a policy needs. The unit by itself keeps from the agent whatever a policy without them
// has no use for: the rest of the file system, the network, device files.
// Runs in:  starter; the policy tool
// Input:    a policy that was loaded
// Relies on: nothing: pure, no I/O
#pragma once

#include <vector>

#include "policy/decide.hpp"

namespace sallyport::policy {

/// A file of packaging/unit/.
struct DropIn {
    const char* path;      // as installed
    const char* variable;  // set by it, in the agent's environment
    bool (*is_needed)(const Policy& policy);
};

/// Set by the unit itself. Whoever starts the agent without it keeps nothing from it.
inline constexpr const char* kUnitVariable = "SALLYPORT_UNIT";

/// In the order of their names.
std::vector<DropIn> drop_ins_of(const Policy& policy);

}  // namespace sallyport::policy
