// Budgets of a whole agent: what restarts, crashes and reboots leave of them, and what is said about it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>

#include <algorithm>
#include <filesystem>

#include "ipc/kept_budgets.hpp"
#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/cases.hpp"
#include "tests/support/hidden_proc.hpp"
#include "tests/support/run_tool.hpp"

namespace sallyport::test {
namespace {

constexpr std::int64_t kDayNs = std::int64_t{86'400} * 1'000'000'000;

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "name"
commands = ["guest-get-host-name"]
rate = "3/day"
)";

/// What an earlier agent has left: a full bucket, whatever the time since boot.
ipc::KeptBudgets full_bucket() {
    ipc::KeptBudgets kept{.count = 1};
    const std::string boot = boot_id();
    std::copy_n(boot.begin(), std::min(boot.size(), kept.boot.size()), kept.boot.begin());
    const std::string_view id = "name";
    std::ranges::copy(id, kept.rows[0].rule.begin());
    kept.rows[0].amount = kept.rows[0].burst = 3;
    kept.rows[0].per_ns = kDayNs;
    return kept;
}

void write(const Scratch& scratch, const ipc::KeptBudgets& kept) {
    scratch.write("state/sallyport.budgets",
                  std::string_view(reinterpret_cast<const char*>(&kept), kept.size()), 0600);
}

ipc::KeptBudgets read(const Agent& agent) {
    ipc::KeptBudgets kept;
    const std::string bytes = read_file(agent.state() + "/sallyport.budgets");
    std::copy_n(bytes.begin(), std::min(bytes.size(), sizeof kept), reinterpret_cast<char*>(&kept));
    return kept;
}

class Budget : public testing::Test {
protected:
    Budget()
        : agent_({.policy = kPolicy,
                  .prepare = [](const Scratch& scratch) { write(scratch, full_bucket()); }}) {}

    /// How many of so many requests are answered.
    int answered(int requests) {
        HostClient host = agent_.connect();
        int count = 0;
        for (int at = 0; at < requests; ++at)
            count += host.ask(command("guest-get-host-name")).starts_with("{\"return\"") ? 1 : 0;
        return count;
    }
    [[nodiscard]] Said tool(const std::string& words) const {
        return run_tool(build_root() + "/policy/tool/verbs/sallyport-policy", agent_.scratch().path(), words);
    }
    void kill_broker() {
        agent_.broker().signal(SIGKILL);
        EXPECT_TRUE(agent_.broker().wait());
    }

    Agent agent_;
};

TEST_F(Budget, IsSpentOnceOverAllConnectionsAndWhoeverIsRefusedMayTryLater) {
    EXPECT_EQ(answered(2), 2);
    EXPECT_EQ(answered(1), 1);
    const std::string reply = agent_.connect().ask(command("guest-get-host-name"));
    EXPECT_TRUE(desc_of(reply).starts_with("the command failed: Resource temporarily unavailable (denial "))
        << reply;
    const auto log = agent_.audit();
    const auto refused =
        std::ranges::find_if(log, [](const auto& line) { return line.at("verdict") == "refuse"; });
    ASSERT_NE(refused, log.end());
    EXPECT_EQ(refused->at("rule"), "name");
    EXPECT_EQ(refused->at("arguments").at("budget"), "rate");
    EXPECT_EQ(refused->at("reason"), "the rule's budget is spent");
    EXPECT_EQ(agent_.connect().ask(command("guest-fsfreeze-thaw")), "{\"return\": 0}") << "the floor";
}

TEST_F(Budget, IsTheSameAfterARestart) {
    EXPECT_EQ(answered(1), 1);
    EXPECT_EQ(agent_.stop(), 0);
    agent_.restart();
    EXPECT_EQ(answered(5), 2);
    EXPECT_EQ(agent_.stop(), 0);
    agent_.restart();
    EXPECT_EQ(answered(5), 0);
}

TEST_F(Budget, IsTheSameAfterTheBrokerOrAWorkerWasKilled) {
    {
        HostClient host = agent_.connect();
        EXPECT_EQ(desc_of(host.ask(command("guest-get-host-name"))), "");
        ASSERT_TRUE(send_signal(agent_.worker(), SIGKILL));
    }
    EXPECT_EQ(answered(1), 1);
    kill_broker();
    agent_.restart();
    EXPECT_EQ(answered(5), 1);
    kill_broker();
    agent_.restart();
    EXPECT_EQ(answered(5), 0);
}

TEST_F(Budget, IsTheSameAfterAllProcessesWereKilledOnceTheRecorderHasWrittenIt) {
    EXPECT_EQ(answered(3), 3);
    EXPECT_TRUE(eventually([&] { return read(agent_).rows[0].due > 2 * kDayNs / 3; }));
    const auto all = agent_.processes();
    for (const pid_t process : all) send_signal(process, SIGKILL);
    EXPECT_TRUE(agent_.broker().wait());
    EXPECT_TRUE(eventually([&] { return std::ranges::none_of(all, is_running); }));
    agent_.restart();
    EXPECT_EQ(answered(5), 0);
}

TEST_F(Budget, OfAnEarlierBootCountsIfTheAgentHasEndedAndElseIsNothing) {
    EXPECT_EQ(answered(2), 2);
    EXPECT_EQ(agent_.stop(), 0);
    EXPECT_TRUE(eventually([&] { return read(agent_).is_final == 1; }));
    ipc::KeptBudgets kept = read(agent_);
    const std::int64_t missing = kept.rows[0].due - kept.written;
    kept.boot[0] = kept.boot[0] == '0' ? '1' : '0';
    write(agent_.scratch(), kept);
    agent_.restart();
    ASSERT_TRUE(agent_.is_serving());
    EXPECT_EQ(read(agent_).rows[0].due, missing);
    EXPECT_EQ(agent_.stop(), 0);
    kept.is_final = 0;
    kept.rows[0].due = 0;
    write(agent_.scratch(), kept);
    agent_.restart();
    ASSERT_TRUE(agent_.is_serving());
    EXPECT_EQ(read(agent_).rows[0].due, kDayNs) << "empty at boot";
}

TEST_F(Budget, IsShownByStatusAndExplain) {
    EXPECT_EQ(answered(1), 1);
    EXPECT_TRUE(eventually([&] { return read(agent_).rows[0].due != 0; }));
    const Said status = tool("status --statedir state --policy policy.toml");
    EXPECT_TRUE(status.has("budgets:\n  'name': 2 of 3 left, rate 3/day\n")) << status.text;
    const Said json = tool("status --json --statedir state --policy policy.toml");
    EXPECT_TRUE(json.has(R"({"rule":"name","key":"rate","budget":"3/day","left":2,"burst":3})")) << json.text;
    const Said why = tool("explain --statedir state policy.toml guest-get-host-name");
    EXPECT_TRUE(why.has("as long as its budget is not spent: rate 3/day\n  left now of 'rate': 2 of 3\n"))
        << why.text;
    EXPECT_EQ(answered(3), 2);
    const Said report = tool("report " + agent_.audit_file());
    EXPECT_TRUE(report.has("refused because a budget was spent\n  1 x rate of name\n")) << report.text;
}

AgentOptions with_full_bucket(const std::string& word, std::function<void()> hide) {
    return {.policy = kPolicy,
            .prepare = [](const Scratch& scratch) { write(scratch, full_bucket()); },
            .environment = {word},
            .before_exec = std::move(hide)};
}

TEST(BudgetWhereProcIsHidden, IsTheSameInTheBootThatTheUnitNames) {
    Agent agent(with_full_bucket(said_boot(), [] { hide_proc("subset=pid"); }));
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    EXPECT_EQ(read(agent).boot, full_bucket().boot);
    EXPECT_EQ(read(agent).rows[0].due, 0) << "full, as it was";
}

TEST(BudgetWhereProcIsHidden, IsNothingInAnother) {
    Agent agent(with_full_bucket(said_boot(other_boot()), [] { hide_proc("subset=pid"); }));
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    EXPECT_EQ(read(agent).rows[0].due, kDayNs) << "empty at boot";
}

TEST(BudgetWhereProcIsHidden, EndsTheStartIfNobodySaysWhichBootThisIs) {
    Agent agent(with_full_bucket("OTHER=1", [] { hide_proc("subset=pid"); }));
    EXPECT_EQ(agent.broker().wait(), 1);
    EXPECT_NE(agent.messages().find("the unit does not say it (Environment=SALLYPORT_BOOT=%b)"),
              std::string::npos)
        << agent.messages();
}

TEST(BudgetWhereProcIsShown, IsThatOfTheBootThatTheKernelNames) {
    Agent agent(with_full_bucket(said_boot(other_boot()), [] {}));
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    EXPECT_EQ(read(agent).rows[0].due, 0) << "full, as it was";
}

// Each rule has its own file, and whoever may write in the one directory has set a link to the other.
// The state folder is a small file system of its own; it is full when the policy gets its first budget.
class FullDisk : public testing::Test {
protected:
    FullDisk()
        : agent_({.policy = "schema = 1\naudit = { on_loss = \"go on\" }\n",
                  .prepare = [](const Scratch& scratch) {
                      EXPECT_EQ(
                          ::mount("small", scratch.path("state").c_str(), "tmpfs", 0, "size=1m,mode=0700"),
                          0);
                  }}) {}
    ~FullDisk() override {
        std::filesystem::remove(agent_.state() + "/fill");
        agent_.stop();
        EXPECT_TRUE(eventually([&] { return recorders_of(agent_.state()).empty(); }));
        EXPECT_EQ(::umount2(agent_.state().c_str(), 0), 0);
    }
    void fill() {
        Child filler([&] {
            std::FILE* file = std::fopen((agent_.state() + "/fill").c_str(), "w");
            while (std::fputs("full", file) >= 0 && std::fflush(file) == 0) {
            }
            return 0;
        });
        filler.wait();
    }
    void give_budget() {
        std::string text = kPolicy;
        text.insert(text.find('\n') + 1, "audit = { on_loss = \"go on\" }\n");
        agent_.scratch().write("policy.toml", text);
    }
    std::string ask() {
        HostClient host = agent_.connect();
        EXPECT_EQ(host.ask(command("guest-fsfreeze-thaw")), "{\"return\": 0}");
        return desc_of(host.ask(command("guest-get-host-name")));
    }
    Agent agent_;
};

constexpr const char* kSpent = "Resource temporarily unavailable";

TEST_F(FullDisk, StopsNoStartOfTheFirstBudgetWhichIsSpentUntilTheAgentIsStartedAgain) {
    ASSERT_TRUE(agent_.is_serving()) << agent_.messages();
    agent_.stop();
    fill();
    give_budget();
    agent_.restart();
    ASSERT_TRUE(agent_.is_serving()) << agent_.messages();
    EXPECT_NE(ask().find(kSpent), std::string::npos);
    std::filesystem::remove(agent_.state() + "/fill");
    EXPECT_TRUE(eventually([&] { return agent_.count_audit("what", "budgets-not-kept") == 1; }));
    EXPECT_NE(ask().find(kSpent), std::string::npos) << "nothing would know what is taken now";
    agent_.stop();
    write(agent_.scratch(), full_bucket());
    agent_.restart();
    ASSERT_TRUE(agent_.is_serving()) << agent_.messages();
    EXPECT_EQ(ask(), "");
    EXPECT_EQ(agent_.count_audit("what", "budgets-not-kept"), 1U);
}

TEST_F(FullDisk, StopsNoStartBesideAnEarlierRecorderThatWaitsForIt) {
    give_budget();
    agent_.restart();
    ASSERT_TRUE(agent_.is_serving()) << agent_.messages();
    fill();
    const UniqueFd held(::open((agent_.state() + "/sallyport.budgets").c_str(), O_RDWR | O_CLOEXEC));
    agent_.stop();
    ASSERT_EQ(::flock(held.get(), LOCK_EX | LOCK_NB), 0) << "as the recorder does that waits";
    agent_.restart();
    ASSERT_TRUE(agent_.is_serving()) << agent_.messages();
    EXPECT_NE(ask().find(kSpent), std::string::npos);
    EXPECT_EQ(read(agent_).rows[0].rule, full_bucket().rows[0].rule) << "what was kept is still there";
}

// One block of the file has room on the disk, the next one has not.
TEST_F(FullDisk, LeavesWhatWasKeptAsItIsWhereThereIsNoRoomForMoreBudgets) {
    give_budget();
    agent_.restart();
    ASSERT_TRUE(agent_.is_serving()) << agent_.messages();
    agent_.stop();
    const std::string before = read_file(agent_.state() + "/sallyport.budgets");
    fill();
    std::string policy = "schema = 1\n";
    for (int at = 0; at < 60; ++at)
        policy += "[[allow]]\nid = \"f" + std::to_string(at) +
                  "\"\nrate = \"1/day\"\ncommands = [\"@file\"]\nfiles = [{ under = \"/srv/" +
                  std::to_string(at) + "\", access = [\"read\"] }]\n";
    agent_.scratch().write("policy.toml", policy);
    agent_.restart();
    ASSERT_TRUE(agent_.is_serving()) << agent_.messages();
    EXPECT_EQ(read_file(agent_.state() + "/sallyport.budgets"), before);
}

TEST(BudgetOfFiles, IsPaidAlsoByWhoComesThroughALinkFromAnotherRulesDirectory) {
    Agent agent({.prepare = [](const Scratch& scratch) {
        scratch.write("metered/file", "text");
        scratch.write("open/file", "text");
        std::filesystem::create_symlink(scratch.path("metered/file"), scratch.path("open/link"));
        const auto rule = [&](const std::string& name, const std::string& more) {
            return "[[allow]]\nid = \"" + name + "\"\ncommands = [\"@file\"]\nfiles = [{ under = \"" +
                   scratch.path(name) + "\", access = [\"read\"], symlinks = \"follow\" }]\n" + more;
        };
        scratch.write("policy.d/10-files.toml",
                      "schema = 1\n" + rule("metered", "concurrent = 2\n") + rule("open", ""));
    }});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    const auto opened = [&](const std::string& name) {
        return host.ask(command("guest-file-open", R"({"path":")" + agent.scratch().path(name) + "\"}"))
            .starts_with("{\"return\"");
    };
    EXPECT_TRUE(opened("open/link"));
    EXPECT_TRUE(opened("metered/file"));
    EXPECT_FALSE(opened("open/link"));
    EXPECT_FALSE(opened("metered/file"));
    EXPECT_TRUE(opened("open/file"));
    EXPECT_EQ(agent.stop(), 0);
}

}  // namespace
}  // namespace sallyport::test
