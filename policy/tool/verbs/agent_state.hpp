// What can be seen of an agent from outside: of its state directory, its log, and /proc. Nobody asks the agent.
// Runs in:  the policy tool
#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"

namespace sallyport::policy::cli {

inline constexpr const char* kStateDirectory = "/var/lib/sallyport";
inline constexpr const char* kPolicyPath = "/etc/sallyport/policy.toml";
/// So many digits of a policy's digest stand in the log.
inline constexpr std::size_t kDigestShown = 16;

/// Whether a recorder holds the log's lock, by /proc/locks; nothing is locked to find out. Nothing if that cannot be told.
std::optional<bool> is_running(const std::string& state_directory);

/// Since when file systems are frozen; nothing if none are. The mark is that of this boot, since a reboot thaws.
std::optional<std::time_t> frozen_since(const std::string& state_directory);

/// The files of the log, the newest first; those that cannot be opened are left out.
std::vector<UniqueFd> open_log(const std::string& state_directory);

/// What the log says.
struct LogFacts {
    struct Start {
        std::string time, run, version, policy_path;
    };
    std::optional<Start> start;  // the last one
    std::string stop;            // why that run has stopped; empty if it has not
    std::string policy;          // digest of the last line, as it is shown
    std::map<std::string, std::uint64_t>
        verdicts;  // of the lines since then, and those that were counted only
    std::map<std::string, std::uint64_t> refused;       // by command
    std::map<std::string, std::uint64_t> would_refuse;  // by rule that dry-runs: what was allowed
    std::map<std::string, std::uint64_t> would_allow;   // the same: what was refused
    std::uint64_t lost = 0;
    bool is_whole =
        true;  // else what was looked for lies before the end of a large file, which is all that was looked at
};

/// Reads files, newest first, back to the line before `since` and the last start. For after lockdown_compiler().
LogFacts read_log(const std::vector<UniqueFd>& files, std::string_view since);

/// As the log writes a time, to the second.
std::string timestamp(std::time_t time);

}  // namespace sallyport::policy::cli
