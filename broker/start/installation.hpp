// This installation: the user of its unprivileged processes, and the places of its programs.
// Runs in:  starter
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/complaint.hpp"
#include "base/unique_fd.hpp"
#include "broker/start/processes.hpp"

namespace sallyport::starter {

/// The ids of unprivileged processes: those of the user sallyport if we are root, else our own.
struct PlainUser {
    uid_t uid = 0;
    gid_t gid = 0;
};

/// THREAT: anyone who runs as the same user can send signals to these processes. So root uses this user and no other; nobody, for
/// example, is shared. Errors: kSystem if /etc/passwd has no such user, or one with root's ids.
Result<PlainUser> plain_user();

/// Opens the executable of a row: the first of its places that exists, relative to the directory of our own executable.
///
/// THREAT: somebody else can write to what we are about to run. base/trusted_file.hpp judges the way from the directory of our
/// own executable; whoever started us has already trusted the way to that directory. Errors: of that file.
struct Executable {
    UniqueFd file;
    std::string path;
};
Checked<Executable> open_program(const Process& row);

/// The absolute, normalised paths where programs of this installation are or could be. Errors: kSystem.
Result<std::vector<std::string>> installed_programs();

}  // namespace sallyport::starter
