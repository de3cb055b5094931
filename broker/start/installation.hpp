// What this installation consists of: whom its processes without privilege run as, and where its programs are.
// Runs in:  starter
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/complaint.hpp"
#include "base/unique_fd.hpp"
#include "broker/start/processes.hpp"

namespace sallyport::starter {

/// The ids that processes without privilege run as: the user sallyport if we are root, else our own.
struct PlainUser {
    uid_t uid = 0;
    gid_t gid = 0;
};

/// THREAT: whoever runs as the same user can send signals to these processes. So root has no other choice than that user:
/// nobody, for one, is shared. Errors: kSystem if /etc/passwd has no such user with ids other than root's.
Result<PlainUser> plain_user();

/// Opens the executable of a row, found from our own directory on: the first of its places that is there.
///
/// THREAT: somebody else can write what we are about to run. From the directory of our own executable on, base/trusted_file.hpp
/// judges the way there; the way to our own executable was taken by whoever started us. Errors: of that file.
struct Executable {
    UniqueFd file;
    std::string path;
};
Checked<Executable> open_program(const Process& row);

/// Where the programs of this installation are, or would be: absolute paths, normalised. Errors: kSystem.
Result<std::vector<std::string>> installed_programs();

}  // namespace sallyport::starter
