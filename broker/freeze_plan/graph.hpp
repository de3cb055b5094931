// What block devices consist of, according to /sys.
// Runs in:  a child of the guard without capabilities; sallyport-policy freeze-plan
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "broker/freeze_plan/plan.hpp"

namespace sallyport::freeze_plan {

class BlockGraph {
public:
    /// Opens /sys. Errors: kSystem.
    static Result<BlockGraph> open();

    /// The files behind the device of a local file system: those of loop devices, through partitions, device mapper, RAID and the
    /// devices of a Btrfs. What cannot be read counts as missing: the order may then be worse, but the deadline of each freeze
    /// still holds.
    [[nodiscard]] std::vector<std::string> backing_files(const Mount& mount) const;

    [[nodiscard]] FdRef sys() const { return sys_; }

private:
    UniqueFd sys_;
};

/// The text of a small file, or of a /proc file from its start. Errors: kSystem, kLimit.
Result<std::string> read_text(FdRef file);

}  // namespace sallyport::freeze_plan
