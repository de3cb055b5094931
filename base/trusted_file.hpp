// Files that only root, or the user who runs the agent, can change. Everything that decides or is executed comes from such files.
// Runs in:  starter; launcher
// Input:    paths that the admin wrote, and the directories and links on the way
#pragma once

#include <fcntl.h>

#include <string>

#include "base/complaint.hpp"
#include "base/unique_fd.hpp"

namespace sallyport {

/// Opens `path`, one component at a time from the root directory. `flags` apply only to the last component, which is judged
/// before it is opened for more than O_PATH.
///
/// THREAT: another user substitutes a file or link for one that decides what the host may do, or that root is about to execute.
/// Each directory on the way, each link and the end must belong to root or to us, and nobody else may be able to write to it. A
/// directory that everyone can write to, such as /tmp, is allowed on the way if it is sticky: nobody can remove or rename our
/// entries there. The descriptor that was judged is the one returned; no name is looked up twice.
/// Errors: kProof if others can change it; kInvalid (not an absolute path, too many links); kSystem. They are about `path`, and
/// also about the component at fault if that is another one.
Checked<UniqueFd> open_trusted(const std::string& path, int flags = O_PATH);

/// The same for a path that begins at `directory`, which is judged too. The way to `directory` is not: we were executed from
/// there.
Checked<UniqueFd> open_trusted_below(const std::string& directory, const std::string& path,
                                     int flags = O_PATH);

}  // namespace sallyport
