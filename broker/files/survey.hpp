// Questions about paths, each answered by a process that can be left behind.
// Runs in:  starter, and files before lockdown()
// Input:    what lies at the admin's paths, which local users and servers decide
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::files {

/// What a child found: some bytes, and a descriptor or none.
struct Answer {
    std::string bytes;
    UniqueFd fd;
};

/// Has `answer` called for 0 to `count` - 1, each in a child. Gives back nothing for what is not answered within kFileTimeoutNs, all
/// together. Nobody is waited for after that: who still hangs is killed, has no descriptor of ours, and is no child of ours.
///
/// THREAT: a path leads through a server that does not answer, of a local user or of somebody far away, and the agent never starts.
/// So one child looks at all; where it stays behind each path gets a child of its own, at most 32 at once. Errors: kSystem.
Result<std::vector<std::optional<Answer>>> survey(std::size_t count,
                                                  const std::function<Answer(std::size_t)>& answer);

}  // namespace sallyport::files
