// The mark in the state directory that file systems may be frozen, for whoever comes after a crash.
// Runs in:  starter, broker; guard thaw
#pragma once

#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::guard {

/// The file sallyport.frozen: the id of the boot in which file systems were frozen, or blanks. A reboot thaws.
///
/// INVARIANT: it is set before the first file system is frozen and taken back after the last is thawed, since it may
/// lie on one of them; is_set() only reads, which a frozen file system lets one do.
class FrozenMark {
public:
    /// Errors: kSystem.
    static Result<bool> is_set(FdRef state_directory);
    /// Opens the file to be written, making it. Errors: kSystem.
    static Result<FrozenMark> open(FdRef state_directory);
    /// One that was opened before, as parts of it were handed on.
    FrozenMark(UniqueFd file, std::string boot) : file_(std::move(file)), boot_(std::move(boot)) {}
    [[nodiscard]] const std::string& boot() const { return boot_; }
    [[nodiscard]] UniqueFd release() && { return std::move(file_); }
    /// Errors: kSystem.
    [[nodiscard]] Status set(bool is_frozen) const;

private:
    FrozenMark() = default;
    UniqueFd file_;
    std::string boot_;
};

}  // namespace sallyport::guard
