// What a day of polling leaves in the log and on standard error. The requests of a day are played one after the other, as
// fast as they are answered; the agent, its recorder and its policy's audit terms (the default ones) are the real ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <set>

#include "ipc/limits.hpp"
#include "tests/e2e/guest.hpp"
#include "tests/support/audit.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kDay = 86'400;
constexpr std::size_t kMostInLog = 30'000'000;
constexpr std::size_t kMostInJournal = 300'000;

// How often KubeVirt asks, in seconds, at the defaults of its launcher: guest info by libvirt every 10 s (five commands), the
// freeze status every 5 s, the agent's version and the file systems every 5 min, a probe by guest-ping every 10 s; and with its
// VMStats besides, as often as their cache lets it.
struct Poll {
    const char* command;
    std::int64_t period;
};
constexpr std::array kPolls{
    Poll{"guest-get-users", 10},
    Poll{"guest-get-osinfo", 10},
    Poll{"guest-get-timezone", 10},
    Poll{"guest-get-host-name", 10},
    Poll{"guest-network-get-interfaces", 10},
    Poll{"guest-fsfreeze-status", 5},
    Poll{"guest-info", 300},
    Poll{"guest-get-fsinfo", 300},
    Poll{"guest-ping", 10},
    // VMStats
    Poll{"guest-get-load", 20},
    Poll{"guest-get-cpustats", 20},
    Poll{"guest-get-diskstats", 20},
    Poll{"guest-get-time", 60},
    Poll{"guest-get-vcpus", 60},
    Poll{"guest-get-memory-block-info", 60},
    Poll{"guest-get-users", 60},
    Poll{"guest-get-osinfo", 300},
    Poll{"guest-get-disks", 300},
    Poll{"guest-get-host-name", 300},
    Poll{"guest-get-timezone", 300},
    Poll{"guest-network-get-route", 300},
    Poll{"guest-network-get-interfaces", 300},
    Poll{"guest-get-memory-blocks", 1800},
};

// As libvirt sends them: each command behind a guest-sync. How many commands there were.
std::int64_t play_a_day(HostClient& host) {
    std::int64_t asked = 0;
    for (std::int64_t second = 0; second < kDay; second += 5) {
        std::string requests;
        int lines = 0;
        for (const Poll& poll : kPolls) {
            if (second % poll.period != 0) continue;
            requests += command("guest-sync", R"({"id":)" + std::to_string(1'700'000'000'000 + asked) + "}") +
                        command(poll.command);
            lines += 2;
            ++asked;
        }
        host.send(requests);
        for (int at = 0; at < lines; ++at) host.line();
    }
    return asked;
}

struct Left {
    std::size_t in_state = 0;    // bytes of all files in the state directory
    std::size_t in_journal = 0;  // bytes on standard error
    std::size_t unwritten =
        0;  // events that were counted, since more came at once than their rate lets through
    std::size_t longest = 0;             // line of a command
    std::set<std::string> refused = {};  // commands
    std::size_t oldest_seq = 0;          // of the lines that are left
};

Left left_by(const Agent& agent) {
    Left left;
    const std::string log = agent.audit_file();
    for (const auto& entry : fs::directory_iterator(agent.state())) {
        left.in_state += entry.file_size();
        if (!entry.path().filename().string().starts_with("audit.jsonl")) continue;
        for (const auto& line : audit_lines(entry.path()))
            if (line.find("\"what\":\"guest-") != line.npos)
                left.longest = std::max(left.longest, line.size());
        for (const auto& record : audit_records(entry.path())) {
            if (text_of(record, "verdict") == "refuse") left.refused.insert(text_of(record, "what"));
            if (const auto* counts = record.if_contains("unwritten"))
                for (const auto& count : counts->as_object())
                    left.unwritten += static_cast<std::size_t>(count.value().as_int64());
            if (const auto* seq = record.if_contains("seq"); seq != nullptr)
                left.oldest_seq = left.oldest_seq == 0
                                      ? static_cast<std::size_t>(seq->as_int64())
                                      : std::min(left.oldest_seq, static_cast<std::size_t>(seq->as_int64()));
        }
    }
    left.in_journal = agent.messages().size();
    return left;
}

Left left_by_a_day(const std::string& policy) {
    Agent agent({.policy = policy});
    HostClient host = agent.connect();
    const std::int64_t asked = play_a_day(host);
    agent.stop();  // its last line has what was counted
    const Left left = left_by(agent);
    std::printf(
        "%lld commands: %zu bytes in the state directory, %zu on standard error, %zu not written, longest "
        "line "
        "%zu, the first line left is number %zu\n",
        static_cast<long long>(asked), left.in_state, left.in_journal, left.unwritten, left.longest,
        left.oldest_seq);
    return left;
}

class Day : public testing::Test {
protected:
    static void SetUpTestSuite() { enter_own_guest(); }
};

// Rates fill with time, and no time passes here: over a real day the freeze status that was counted would have been written, all but
// one of six. So the whole of it is added, at the length of the longest line. The rotation bounds the sum in any case.
TEST_F(Day, OfAllowedPollingIsRotatedAndLeavesAtMostThirtyMegabytesAndNextToNothingInTheJournal) {
    const Left left = left_by_a_day(std::string(kLook));
    EXPECT_GT(left.in_state, kMostInLog / 3) << "it was not played";
    EXPECT_LE(left.in_state, kMostInLog);
    EXPECT_LE(left.in_journal, kMostInJournal);
    const std::size_t most = std::size_t{kDefaultLogSize} * (kDefaultLogKeep + 1);
    EXPECT_LE(most, kMostInLog);
    std::printf("with the freeze status of a real day: at most %zu bytes, of which %zu are kept\n",
                left.in_state + left.unwritten * left.longest,
                std::min(most, left.in_state + left.unwritten * left.longest));
}

// The shipped policy refuses nearly all of it: a refusal is written once a minute, and goes to the journal once an hour, for each
// command; that is added for the hours that do not pass here.
TEST_F(Day, UnderTheShippedPolicyLeavesLittleInTheLogAndNextToNothingInTheJournal) {
    const Left left = left_by_a_day(read_file(SHIPPED_POLICY));
    EXPECT_GT(left.refused.size(), 10U);
    const std::size_t log = left.in_state + left.refused.size() * (kDay / 60) * left.longest;
    const std::size_t journal = left.in_journal + left.refused.size() * (kDay / 3600) * left.longest;
    EXPECT_LE(log, kMostInLog);
    EXPECT_LE(journal, kMostInJournal);
    std::printf("with the refusals of a real day: at most %zu bytes in the log, %zu on standard error\n", log,
                journal);
    EXPECT_GT(left.unwritten, 10'000U) << "it was not played";
}

}  // namespace
}  // namespace sallyport::test
