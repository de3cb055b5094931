// Self-proof at start: before any byte of a host is read, the kernel shows that each kind of process holds what it should.
// Runs in:  starter
// Relies on: /proc of its own pid namespace
#pragma once

#include <span>
#include <string>

#include "broker/start/spawn.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::starter {

/// Waits until a process says that it is confined, and compares what it holds with its row, and with `capabilities` (a bit set)
/// if it runs as root. Returns its first frame. Errors: kProof with the first difference; kLimit if it is not confined in time;
/// kClosed if it has ended, after it printed the reason on standard error; kSystem. They are about the row's name.
Checked<std::string> prove(const Process& row, const Running& process, std::uint64_t capabilities);

/// Waits for the next frame. Errors: kLimit, kClosed, kSystem.
Result<std::string> await_frame(FdRef socket);

/// Has the proved nursery fork one worker for a channel of ours, compares that too, and ends it. All later workers are made in
/// the same way. Errors: as above.
Checked<void> rehearse(const Running& nursery);

/// Says what it means that a started process is gone.
Error explained(const Error& error);

/// Adds the name of the process to an error.
template <typename T>
Checked<T> of(const Process& row, Result<T> result) {
    if (!result) result = std::unexpected(explained(result.error()));
    return about(row.name, std::move(result));
}

/// The capabilities as a bit set.
std::uint64_t bits_of(std::span<const sandbox::KeptCapability> capabilities);

}  // namespace sallyport::starter
