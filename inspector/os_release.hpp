// os-release(5): a list of assignments, read as a shell reads it.
// Runs in:  inspector, in a child
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace sallyport::inspector {

using OsRelease = std::map<std::string, std::string, std::less<>>;

/// The variables that a shell would have after reading `text`; the last assignment to a name counts. Nothing is expanded: '$'
/// stands for itself. More lenient than a shell: lines may end in CR LF, blanks may surround '=', and a line that is not an
/// assignment is skipped.
OsRelease read_os_release(std::string_view text);

}  // namespace sallyport::inspector
