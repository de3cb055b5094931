// What a report shows, in words or as a page.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "policy/tool/log/logs.hpp"
#include "policy/tool/log/tally.hpp"

namespace sallyport::policy::cli {

struct Facts {
    const log::Tally& tally;
    const log::Logs& logs;
    log::Reading reading;
    std::string policy;                                           // its path; empty: none was given
    std::vector<std::string> unused;                              // of that policy, what was never needed
    std::map<std::string, std::uint64_t, std::less<>> limits_us;  // by rule, how long a freeze may last
};

/// What there is to be counted over all commands.
struct Sums {
    log::Counts verdicts = {};
    std::uint64_t all = 0;
};
Sums sums_of(const log::Tally& tally);

/// A command's, a rule's or an event's name with its counts; the most frequent first.
struct Counted {
    std::string name;
    log::Counts counts = {};
    std::uint64_t all = 0;
};
std::vector<Counted> commands_of(const log::Tally& tally);
std::vector<Counted> rules_of(const log::Tally& tally);
/// The latest first.
std::vector<log::Denial> denials_of(const log::Tally& tally);

/// How much longer than its limit a freeze may have been: the thaw itself takes time.
inline constexpr std::uint64_t kThawSlackUs = 2'000'000;
std::optional<std::uint64_t> limit_of(const Facts& facts, const log::Freeze& freeze);

/// "ended by the host", "still frozen".
std::string end_text(const log::Freeze& freeze);

/// "path=/etc/shadow mode=r", of the arguments as the log has them.
std::string words_of_log(const std::string& arguments);
/// The command line by which `explain` tells of it; empty for what is no command.
std::string explain_line(const Facts& facts, const log::Denial& denial);
/// What is to be said of a chain.
std::string state_text(const Facts& facts, const log::ChainState& chain);

std::string grouped(std::uint64_t number);    // 1,234,567
std::string duration_text(std::uint64_t us);  // "1.2 s", "3 min 4 s"
std::string time_text(WallTime time);         // 2026-11-30 21:11

std::string page_of(const Facts& facts);

}  // namespace sallyport::policy::cli
