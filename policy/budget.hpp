// How much of what a rule allows: a bucket that fills evenly, up to its burst. One number says how full it is: the time at which all
// that was taken will have flowed back.
// Runs in:  broker, after lockdown(); starter; the policy tool
// Relies on: a clock that nobody can set: awake_ns()
//
// THREAT: a host sets clocks, or restarts its connection, the agent or the guest, to get more. INVARIANT: between any two moments at most
// the burst and what flows in between can be taken, to two nanoseconds; broker/start/kept_budgets.hpp carries that over restarts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "schema/commands.hpp"

namespace sallyport::policy {

struct Policy;

/// So much in that time, and so much at once.
struct Flow {
    std::uint64_t amount = 0;  // 0: no bound
    std::uint64_t burst = 0;
    std::int64_t per_ns = 0;
    bool operator==(const Flow&) const = default;
};

struct Budget {
    Flow rate;                     // requests
    Flow bytes;                    // of files and programs
    std::uint32_t concurrent = 0;  // files that are open; 0: no bound
    bool operator==(const Budget&) const = default;
};

/// Whether requests for the command are counted. Those about what is open or running already are not. INVARIANT: nor is the floor; so
/// no budget keeps anybody from a thaw.
bool is_counted(const Command& row);

/// Whether `bytes` means something for a rule with these commands: files are read and written, or programs get input and write.
bool moves_bytes(CommandSet commands);

/// Whether its numbers can be reckoned with: at most one in a nanosecond, and full within kMaxFillNs.
bool is_flow(const Flow& flow);

/// How long an empty bucket takes to fill.
std::int64_t full_after(const Flow& flow);

/// What can be taken now. `due`: when the bucket is full.
std::uint64_t left(const Flow& flow, std::int64_t due, std::int64_t now);

/// When it is full once `amount` is taken now.
std::int64_t due_after(const Flow& flow, std::int64_t due, std::int64_t now, std::uint64_t amount);

/// One bucket of a policy. They are in the order of the rules, of each its rate before its bytes.
struct Bucket {
    enum class Of : std::uint8_t { kRequests, kBytes };
    std::size_t rule = 0;
    Of of = Of::kRequests;
    Flow flow;
};
std::vector<Bucket> buckets(const Policy& policy);

}  // namespace sallyport::policy
