// The latest time that an agent with this state directory has seen: sallyport.clock, eight bytes in the machine's order.
// Runs in:  broker, before lockdown(); the recorder writes it
#pragma once

#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"
#include "policy/decide.hpp"

namespace sallyport::broker {

struct KeptTime {
    UniqueFd file;
    policy::WallTime floor = 0;  // what was kept; 0 if nothing was
};

/// Opens the file, making it. Errors: kSystem, kInvalid if the content is no time.
Result<KeptTime> open_kept_time(FdRef state_directory);

}  // namespace sallyport::broker
