// Reads small files whole, and lists directories.
// Runs in:  inspector
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::inspector {

/// All of an open file from its beginning, whatever its position. Empty if the file is not open. Errors: kSystem; kLimit if it is
/// larger than a reply can be.
Result<std::string> read_whole(FdRef file);

/// The same by name. Errors: also those of open().
Result<std::string> read_file(const std::string& path);

/// The names in a directory in its own order, without "." and "..". Errors: kSystem.
Result<std::vector<std::string>> names_in(const std::string& path);

/// The path that a name leads to, with all links resolved; empty if there is none.
std::string real_path(const std::string& path);

}  // namespace sallyport::inspector
