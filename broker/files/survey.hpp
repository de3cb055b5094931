// Questions about paths, each answered by a process that may be abandoned.
// Runs in:  starter, and files before lockdown()
// Input:    what is at the admin's paths, which local users and servers control
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::files {

/// The answer of a child: some bytes, and perhaps a descriptor.
struct Answer {
    std::string bytes;
    UniqueFd fd;
};

/// Calls `answer` for 0 to `count` - 1 in children. Returns nothing for those that are not answered within kFileTimeoutNs
/// altogether. After that nobody is waited for: a child that still hangs has been killed, has none of our descriptors and is not
/// our child.
///
/// THREAT: a path leads through a server that does not answer, a local user's or a remote one, and the agent never starts. So one
/// child looks at all paths; those that it leaves open get a child each, at most 32 at once. Errors: kSystem.
Result<std::vector<std::optional<Answer>>> survey(std::size_t count,
                                                  const std::function<Answer(std::size_t)>& answer);

}  // namespace sallyport::files
