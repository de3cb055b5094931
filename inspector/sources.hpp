// What the queries read: kernel files, opened once; files that are replaced while we run, opened by each new child; and the
// child, which answers for them as long as they are the same. All follow from the commands that the policy allows.
// Runs in:  inspector
#pragma once

#include <sys/stat.h>

#include <array>
#include <ctime>
#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "inspector/hung.hpp"
#include "schema/commands.hpp"

namespace sallyport::inspector {

/// What a name led to.
struct Seen {
    struct stat info{};
    int sys_errno = 0;  // why nothing is known of it
};

/// A file that an upgrade, an admin or a login replaces while we run.
struct Replaced {
    UniqueFd file;              // not open: it is not there
    int sys_errno = 0;          // why it could not be opened, if it is there
    std::array<Seen, 2> seen;   // what its names led to, just before
    std::timespec opened_at{};  // CLOCK_REALTIME
};

/// A descriptor is closed if no allowed command needs it, or the guest has no such file.
struct Sources {
    UniqueFd cpu_stat;
    UniqueFd diskstats;
    UniqueFd ipv4_routes;
    UniqueFd ipv6_routes;
    UniqueFd load;
    UniqueFd mounts;
    Replaced local_time;
    Replaced os_release;
    Replaced users;
    HungDevices hung;
};

/// Opens the kernel files. Before the lockdown.
Sources open_sources(CommandSet commands);

/// In a child, before its lockdown: opens the other files as they are now, following links, and reads the local time zone.
void open_replaced(CommandSet commands, Sources& sources);

/// Whether what a query for `command` reads of these is what a child that was born now would read.
bool is_up_to_date(CommandId command, const Sources& sources);

/// The whole current content. Errors: as read_whole(), and why it could not be opened.
Result<std::string> read_replaced(const Replaced& source);

}  // namespace sallyport::inspector
