// The mark in the state directory: file systems may be frozen. It tells the next run after a crash.
// Runs in:  starter, broker; guard thaw
#pragma once

#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::guard {

/// The id of this boot, as text: from /proc, or by the unit's word where that hides it (ProcSubset=pid). A procfs of our own would show
/// it, but takes CAP_SYS_ADMIN, which SELinux leaves to the guard alone. Errors: kSystem, kInvalid.
Result<std::string> boot_id();

/// The file sallyport.frozen: the id of the boot in which file systems were frozen, or blanks. A reboot thaws.
///
/// INVARIANT: the mark is set before the first freeze and cleared after the last thaw, since it may lie on a frozen file system.
/// is_set() only reads, which a frozen file system allows.
class FrozenMark {
public:
    /// Errors: as boot_id().
    static Result<bool> is_set(FdRef state_directory);
    /// Opens or creates the file for writing. Errors: as boot_id().
    static Result<FrozenMark> open(FdRef state_directory);
    /// From a file that was opened before, and the boot id.
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
