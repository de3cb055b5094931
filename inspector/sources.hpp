// What the inspector opens before its lockdown: files of /proc and the like, which the queries read again and again, and
// the directories in which it can open files later. Both follow from the commands that the policy allows.
// Runs in:  inspector
#pragma once

#include "inspector/hung.hpp"
#include "ipc/unique_fd.hpp"
#include "sandbox/lockdown.hpp"
#include "schema/commands.hpp"

namespace sallyport::inspector {

/// Not open: no allowed command needs it, or the guest has no such file.
struct Sources {
    UniqueFd cpu_stat;
    UniqueFd diskstats;
    UniqueFd ipv4_routes;
    UniqueFd ipv6_routes;
    UniqueFd load;
    UniqueFd mounts;
    UniqueFd os_release;
    UniqueFd users;
    HungDevices hung;
};

Sources open_sources(CommandSet commands);

sandbox::InspectorNeeds needs_of(CommandSet commands);

}  // namespace sallyport::inspector
