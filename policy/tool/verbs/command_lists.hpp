// The lists of commands that an admin writes in options and configuration: what they take away is taken away, or said.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sallyport::policy::cli {

/// A list as it grows, over the configuration file and the options.
struct CommandList {
    std::string_view option;  // what it is called
    bool is_given = false;
    std::vector<std::string> names = {};

    /// Adds the names of `text`, between commas and blanks.
    void add(std::string_view text);
};

/// A line for each name that no command of qemu-ga or of ours has: it takes nothing away.
std::vector<std::string> warnings_about(const CommandList& list);

}  // namespace sallyport::policy::cli
