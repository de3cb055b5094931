// Files that nobody but root, or whoever runs the agent, can change: what decides, or is started, is taken from such files only.
// Runs in:  whoever starts the agent; the launcher
// Input:    paths that the admin wrote, and the directories and links on the way
#pragma once

#include <fcntl.h>

#include <string>

#include "base/complaint.hpp"
#include "base/unique_fd.hpp"

namespace sallyport {

/// Opens what `path` names, one component at a time from the root directory on. `flags` are for the end alone, which is judged
/// before it is opened for more than O_PATH.
///
/// THREAT: another user puts a file or link of his own in the place of what decides what the host may do, or of what root is about
/// to start. Each directory on the way, each link and the end must belong to root or to us, and nobody else may write to it.
/// A directory that anybody may write to is passed through if it is sticky, as /tmp is: nobody can take away or rename there what
/// is ours. What was judged is given back: no name is looked up twice.
/// Errors: kProof if others can change it; kInvalid (not an absolute path, too many links); kSystem. They are about `path`, and
/// about the place on the way if that is at fault.
Checked<UniqueFd> open_trusted(const std::string& path, int flags = O_PATH);

/// The same for a path that begins at `directory`, which is judged too; the way to it is not, since we came by it ourselves.
Checked<UniqueFd> open_trusted_below(const std::string& directory, const std::string& path,
                                     int flags = O_PATH);

}  // namespace sallyport
