// The words and keys that configure sallyportd: qemu-ga's, and --policy.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "policy/policy.pb.h"
#include "policy/tool/verbs/command_lists.hpp"

namespace sallyport::policy::cli {

struct Options {
    std::string method = "virtio-serial";
    std::string path;
    std::string logfile;
    std::string pidfile = "/run/sallyportd.pid";
    std::string statedir = "/var/lib/sallyport";
    std::string policy = "/etc/sallyport/policy.toml";
    std::string config;
    std::string fsfreeze_hook;
    bool verbose = false;
    bool daemonize = false;
    bool retry_path = false;
    bool dump = false;
    CommandList block_rpcs{.option = "block-rpcs"};
    CommandList allow_rpcs{.option = "allow-rpcs"};
    std::vector<std::string> warnings;  // from what was read so far
};

/// What the command line asks for.
enum class Action : std::uint8_t { kServe, kHelp, kVersion, kListCommands, kUsageError };

/// Reads `words`, of which the first is the program's name, into `options`, replacing earlier values. Prints an error about a
/// wrong word.
Action read_command_line(std::vector<std::string>& words, Options& options);

/// Adds a configuration file's values to `options`.
void merge(const compiled::Options& from_file, Options& options);

std::string help_text();

/// All commands, one per line, in the order of the table.
std::string command_names();

/// The options as a configuration file, in qemu-ga's order.
std::string dumped(const Options& options);

}  // namespace sallyport::policy::cli
