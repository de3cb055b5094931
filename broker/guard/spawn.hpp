// The guard's children: forked copies that do one thing each.
// Runs in:  guard
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::guard {

/// Forks a child that runs `body` and ends. The pidfd becomes readable when it has ended. Nobody has to wait for it: SIGCHLD is
/// ignored. Errors: kSystem.
Result<UniqueFd> fork_child(const std::function<void()>& body);

/// CLOCK_BOOTTIME in nanoseconds. It also runs while the machine is suspended.
std::int64_t now_ns();

/// Whether `fd` becomes readable, or its peer closes, within `patience_ms` (-1: no limit).
bool is_readable(FdRef fd, int patience_ms);

}  // namespace sallyport::guard
