// What earlier agents have left of budgets.
// Runs in:  starter
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "policy/decide.hpp"

namespace sallyport::starter {

/// The file for the recorder, and when each bucket of the policy is full, by awake_ns().
struct BegunBudgets {
    UniqueFd file;
    std::vector<std::int64_t> due;
    int not_kept = 0;  // errno: nothing that is taken would be known to the next start
};

/// Opens sallyport.budgets, creating it if needed, and begins it anew for this policy if that has budgets. A bucket is as full as an
/// earlier agent left it: in this boot, or in an earlier one if that agent said all before its end; the time between is not counted.
/// Any other is empty at boot and has been filling since.
///
/// An earlier recorder that does not end in two seconds may still write: then each bucket is empty now, and the file is another, also
/// after a power failure.
///
/// THREAT: a host fills the disk, so that what it takes is not kept, or so that no agent starts and nobody thaws. On a disk that is full the
/// start goes on, what earlier agents have kept stays as it is, and each bucket is empty until the next start.
///
/// THREAT: a host resets the guest to get a budget back. What an agent leaves without having ended is worth nothing after the reset,
/// and that is on the disk before the agent serves. Errors: as guard::boot_id().
Result<BegunBudgets> begin_budgets(FdRef state_directory, const policy::Policy& policy);

}  // namespace sallyport::starter
