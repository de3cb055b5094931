// Self-proof at start: each kind of process is shown by the kernel to hold what it should, before a host byte is read.
// Runs in:  starter
// Relies on: /proc of its own pid namespace
#pragma once

#include <span>
#include <string>

#include "broker/start/spawn.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::starter {

/// Waits until a process says that it is confined, and compares what it holds with its row, and with `capabilities` (a set of
/// bits) where it runs as root. Gives back what it said. Errors: kProof with the first difference; kLimit if it does not say so in
/// time; kClosed (it has ended; what is wrong is on standard error), kSystem. They are about the row's name.
Checked<std::string> prove(const Process& row, const Running& process, std::uint64_t capabilities);

/// Waits for a frame that comes behind that. Errors: kLimit, kClosed, kSystem.
Result<std::string> await_frame(FdRef socket);

/// Has the nursery, which is proved, fork one worker for a channel of ours, compares that too, and ends it. All later workers are
/// made in the same way. Errors: as above.
Checked<void> rehearse(const Running& nursery);

/// What it means that a process which was started is gone.
Error explained(const Error& error);

/// With the name of the process that was told or asked something.
template <typename T>
Checked<T> of(const Process& row, Result<T> result) {
    if (!result) result = std::unexpected(explained(result.error()));
    return about(row.name, std::move(result));
}

/// A set of bits.
std::uint64_t bits_of(std::span<const sandbox::KeptCapability> capabilities);

}  // namespace sallyport::starter
