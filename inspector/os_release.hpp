// os-release(5): a list of assignments, written for shells and read as they read it.
// Runs in:  inspector, in a child
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace sallyport::inspector {

using OsRelease = std::map<std::string, std::string, std::less<>>;

/// The variables that a shell has after it has read `text`; the last assignment of a name counts. Nothing is expanded: a
/// '$' stands for itself. More than a shell forgives: line ends may be CR LF, blanks may stand around '=', and a line that
/// is no assignment is left out.
OsRelease read_os_release(std::string_view text);

}  // namespace sallyport::inspector
