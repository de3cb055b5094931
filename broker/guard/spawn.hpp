// The guard's children: copies of it that do one thing each.
// Runs in:  guard
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::guard {

/// Forks a child that runs `body` and ends; the pidfd is readable once it has. Nobody waits for it: SIGCHLD is ignored.
/// Errors: kSystem.
Result<UniqueFd> fork_child(const std::function<void()>& body);

/// CLOCK_BOOTTIME in nanoseconds: it goes on while the machine is suspended.
std::int64_t now_ns();

/// Whether `fd` has something to read, or its peer is gone, within `patience_ms` (-1: as long as it takes).
bool is_readable(FdRef fd, int patience_ms);

}  // namespace sallyport::guard
