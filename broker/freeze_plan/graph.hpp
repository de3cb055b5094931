// What block devices are made of, as /sys shows it.
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

    /// The files behind the device of a local file system: of loop devices, through partitions, device mapper, RAID and
    /// the devices of a Btrfs. What cannot be read counts as not there: the order is then less good, the deadline of
    /// each freeze holds all the same.
    [[nodiscard]] std::vector<std::string> backing_files(const Mount& mount) const;

    [[nodiscard]] FdRef sys() const { return sys_; }

private:
    UniqueFd sys_;
};

/// A whole small file, or a file of /proc from its beginning. Errors: kSystem, kLimit.
Result<std::string> read_text(FdRef file);

}  // namespace sallyport::freeze_plan
