// What deny rules named in earlier runs of the agent: the file sallyport.denied of the state directory.
// Runs in:  files, before lockdown()
// Input:    a file that an earlier run wrote and nobody but root can change
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "broker/files/kernel.hpp"

namespace sallyport::files {

/// THREAT: a local user renames what is denied while no agent runs, and the next one finds something else under that name.
///
/// An inode's number, and when it was made: nobody else has both, also where the disk has another number after a reboot, and where
/// the inode's is given away again.
struct Made {
    std::uint64_t inode = 0;
    std::int64_t ns = 0;
    bool operator==(const Made&) const = default;
};

/// What one path has named, the latest last.
using Earlier = std::vector<Made>;
/// By the paths of deny rules.
using Memory = std::map<std::string, Earlier>;

bool was_once(const Earlier& earlier, const Id& id);
/// Adds it as the latest; kMaxEarlier are kept.
void add_to(Earlier& earlier, const Id& id);

/// Nothing if there is no such file. Errors: kSystem, kInvalid, kLimit.
Result<Memory> read_memory(FdRef state);
/// Takes the old one's place when it is on the disk. Errors: kSystem.
Status write_memory(FdRef state, const Memory& memory);

}  // namespace sallyport::files
