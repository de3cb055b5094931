// The lists of commands in options and configuration: each name takes its command away, or causes a warning.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sallyport::policy::cli {

/// A list, collected from the configuration file and the options.
struct CommandList {
    std::string_view option;  // its name
    bool is_given = false;
    std::vector<std::string> names = {};

    /// Adds the names in `text`, which are separated by commas and blanks.
    void add(std::string_view text);
};

/// A line for each name that is neither a command of qemu-ga nor of ours, so that it takes nothing away.
std::vector<std::string> warnings_about(const CommandList& list);

}  // namespace sallyport::policy::cli
