// What a log says on the whole: counts, a course over time, refusals, freezes, losses. Constant memory, however long the log is.
// Runs in:  the policy tool, after lockdown_compiler()
// Input:    a log that anybody may have changed, with values that a host has chosen
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/tool/log/logs.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::log {

/// The verdicts as the log has them; the last is what it does not know.
inline constexpr std::array<std::string_view, 7> kVerdicts{"allow", "refuse", "fail", "violation",
                                                           "drop",  "note",   "other"};
using Counts = std::array<std::uint64_t, kVerdicts.size()>;
enum : std::size_t { kAllow, kRefuse, kFail, kViolation, kDrop, kNote, kOther };
std::size_t verdict_of(std::string_view word);

/// Counts by time. The more time there is, the wider is what one of them covers.
class Timeline {
public:
    void add(WallTime time, std::size_t verdict);

    struct Span {
        WallTime begin = 0;
        Counts counts = {};
    };
    /// At most `most` spans of equal width, without gaps. A few lines far from all others are left out: a clock that was wrong.
    [[nodiscard]] std::vector<Span> spans(std::size_t most) const;
    [[nodiscard]] WallTime width(const std::vector<Span>& spans) const;
    [[nodiscard]] std::uint64_t left_out(const std::vector<Span>& spans) const;

private:
    void fold();
    std::map<WallTime, Counts> buckets_;  // by number
    WallTime width_ = 1;                  // of each, in seconds
    Counts* last_ = nullptr;
    WallTime last_number_ = 0;
};

struct Seen {
    Counts counts = {};
    WallTime first = 0;
    WallTime last = 0;
    void add(std::size_t verdict, WallTime time);
    [[nodiscard]] std::uint64_t all() const;
};

/// Refusals that are alike: of the same command, arguments, rule and reason.
struct Denial {
    std::string what;
    std::string arguments;  // as the log has them
    std::string rule;
    std::string reason;
    Seen seen;
    std::string id;        // of the last one, RUN-SEQ
    std::size_t file = 0;  // where it is
};

struct Freeze {
    WallTime begin = 0;
    std::optional<std::uint64_t> length_us;  // nothing: the log does not have its end
    std::uint64_t file_systems = 0;
    std::string rule;
    std::string end;  // by whom it was ended; empty: it was still there at the end of the log
    std::uint64_t begin_us = 0;
};

/// What a rule that dry-runs would have changed.
struct Tried {
    std::uint64_t allowed = 0;  // of what was refused
    std::uint64_t refused = 0;  // of what was allowed
    WallTime last = 0;
};

/// The state of one chain.
struct ChainState {
    std::size_t chain = 0;
    std::uint64_t lines = 0;
    std::uint64_t cut = 0;  // lines cut off by a crash
    bool is_from_beginning = false;
    std::uint64_t breaks = 0;
    std::size_t broken_file = 0;  // where it is broken first
    std::uint64_t broken_line = 0;
    std::string last;
};

class Tally {
public:
    /// `counts`: false: only its place in the chain is looked at.
    void take(const Record& record, const Place& place, bool counts = true);
    /// A line that is no record; it has its place in the chain all the same.
    void take_damaged(const Place& place);
    /// After the last line.
    void finish();

    std::array<Counts, kCommands.size()> commands = {};
    std::map<std::string, Counts, std::less<>> events;  // what is no command
    Timeline course;                                    // of requests
    std::map<std::string, Seen, std::less<>> rules;
    std::uint64_t other_rules = 0;  // lines about further rules
    std::map<std::string, Denial, std::less<>> denials;
    std::uint64_t other_denials = 0;  // that were passed over
    std::vector<Freeze> freezes;      // the longest and the latest
    std::uint64_t freeze_count = 0;
    std::uint64_t frozen_us = 0;
    std::uint64_t longest_us = 0;
    std::uint64_t frozen = 0;  // chains at whose end something is frozen
    std::uint64_t lost = 0;
    std::map<std::string, std::uint64_t, std::less<>> unwritten;
    std::map<std::string, Seen, std::less<>> policies;  // by the digest's beginning
    std::string last_policy;
    std::uint64_t starts = 0;
    std::uint64_t bytes = 0;                          // read and written
    std::map<std::string, Tried, std::less<>> tried;  // by rule: what dry runs would have changed
    std::map<std::string, std::uint64_t, std::less<>>
        spent;  // refusals, by "KEY of RULE" whose budget was spent
    WallTime first = 0;
    WallTime last = 0;
    std::vector<ChainState> chains;

private:
    void take_chain(const Place& place);
    void take_refusal(const Record& record, const Place& place, WallTime time);
    void take_spent(const Record& record);
    void take_freeze(const Record& record, WallTime time);
    void end_freeze(const Record& record, std::string by);
    void keep(Freeze freeze);
    void take_loss(const Record& record);
    void take_dry_run(const Record& record, WallTime time);

    Chain chain_;
    std::optional<Freeze> open_;
};

}  // namespace sallyport::policy::log
