// Reads the files of a policy's folders, for the compiler, which can open nothing.
// Runs in:  starter
// Input:    the admin's files, and those of packages; base/trusted_file.hpp judges them
#pragma once

#include <string>
#include <vector>

#include "base/complaint.hpp"
#include "base/unique_fd.hpp"
#include "policy/policy.pb.h"

namespace sallyport::starter {

/// The files of the folder beside the policy, then of the vendors' folder, each in the order of their names. What is in a folder and
/// is not read is named on standard error. A folder that is not there has no files.
///
/// THREAT: somebody else puts a file there, or a link to one. Each file and each folder must be root's alone, like the policy; a link,
/// or anything else that is no regular file, stops the start.
/// Errors: those of open_trusted(); kInvalid (no regular file, odd name); kLimit.
Checked<policy::compiled::Fragments> read_fragments(const std::string& policy_path);

/// The names in a folder that is open for reading, in the order of their bytes, which no locale changes. Errors: kSystem, kLimit.
Result<std::vector<std::string>> names_in(UniqueFd folder);

}  // namespace sallyport::starter
