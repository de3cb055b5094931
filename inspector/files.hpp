// Reading small files whole, and the entries of directories.
// Runs in:  inspector
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::inspector {

/// All of an open file from its beginning, wherever others are in it. Nothing of a file that is not open.
/// Errors: kSystem; kLimit beyond what a reply could hold.
Result<std::string> read_whole(FdRef file);

/// The same by name. Errors: also those of open().
Result<std::string> read_file(const std::string& path);

/// The names in a directory in its own order, without "." and "..". Errors: kSystem.
Result<std::vector<std::string>> names_in(const std::string& path);

/// Where a name leads, without any link; empty if it is not there.
std::string real_path(const std::string& path);

}  // namespace sallyport::inspector
