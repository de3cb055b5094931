// The verbs that read audit logs, and rules that do not always decide: those that expire, have hours, or dry-run.
#include <array>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/policy/log_verbs.hpp"

namespace sallyport::policy {
namespace {

TEST_F(LogVerbs, SimulateGoesByTheTimeOfTheLogForRulesThatExpire) {
    write("p.toml", kPolicy + "expires = 2026-11-01T00:02:30Z\n");
    for (int at = 0; at < 4; ++at) add("allow", "guest-fsfreeze-freeze", ",\"rule\":\"backup\"");
    keep();
    EXPECT_TRUE(run("simulate p.toml log").has("2 newly refused"));
}

// "1": it counts. Between two looks at one rule lie looks at the other, and requests that differ in nothing but their time.
TEST_F(LogVerbs, SimulateGoesByTheTimeOfTheLogForRulesWithHours) {
    const std::vector<std::pair<const char*, const char*>> times{
        {"2026-03-26T20:59:59", "00"},  // a Thursday in winter, 21:59:59 in Berlin
        {"2026-03-26T21:00:00", "10"},
        {"2026-03-27T01:14:59", "10"},
        {"2026-03-27T01:15:00", "11"},
        {"2026-03-27T01:44:59", "11"},
        {"2026-03-27T01:45:00", "10"},
        {"2026-03-27T03:59:59", "10"},
        {"2026-03-27T04:00:00", "00"},
        {"2026-03-27T21:00:00", "10"},  // the last night of the week
        {"2026-03-28T03:59:59", "10"},
        {"2026-03-28T04:00:00", "00"},
        {"2026-03-28T21:00:00", "00"},
        // There is no 02:15 in the night in which the clocks are set forward, at 01:00 UTC.
        {"2026-03-29T00:15:00", "00"},
        {"2026-03-29T00:59:59", "00"},
        {"2026-03-29T01:00:00", "00"},
        {"2026-03-29T01:15:00", "00"},
        {"2026-03-29T01:30:00", "00"},
        {"2026-03-30T00:15:00", "01"},
        {"2026-03-30T00:45:00", "00"},
        {"2026-03-30T01:15:00", "00"},
        {"2026-03-30T19:59:59", "00"},
        {"2026-03-30T20:00:00", "10"},
        {"2026-03-31T02:59:59", "10"},
        {"2026-03-31T03:00:00", "00"},
        // It comes twice in the night in which they are set back, at 01:00 UTC.
        {"2026-10-25T00:14:59", "00"},
        {"2026-10-25T00:15:00", "01"},
        {"2026-10-25T00:44:59", "01"},
        {"2026-10-25T00:45:00", "00"},
        {"2026-10-25T01:14:59", "00"},
        {"2026-10-25T01:15:00", "01"},
        {"2026-10-25T01:44:59", "01"},
        {"2026-10-25T01:45:00", "00"}};
    const std::string berlin = "tz = \"Europe/Berlin\" }\n";
    write("p.toml",
          "schema = 1\n[[allow]]\nid = \"night\"\ncommands = [\"guest-get-users\"]\n"
          "when = { days = \"mon-fri\", hours = \"22:00-05:00\", " +
              berlin +
              "[[allow]]\nid = \"quarter\"\ncommands = [\"guest-get-load\"]\nwhen = { hours = "
              "\"02:15-02:45\", " +
              berlin +
              "[[allow]]\nid = \"by-day\"\ncommands = [\"guest-get-time\"]\n[[deny]]\nid = \"not-by-night\"\n"
              "commands = [\"guest-get-time\"]\nwhen = { days = \"mon-fri\", hours = \"22:00-05:00\", " +
              berlin);
    const auto verdict = [](bool is_allowed) { return std::string(is_allowed ? "allow" : "refuse"); };
    for (const auto& [time, counts] : times) {
        add_at(time, verdict(counts[0] == '1'), "guest-get-users");
        add_at(time, verdict(counts[1] == '1'), "guest-get-load");
        add_at(time, verdict(counts[0] == '0'), "guest-get-time");
    }
    keep();
    const Said said = run("simulate p.toml log");
    EXPECT_EQ(said.text, std::to_string(times.size() * 3) +
                             " decisions asked again: 0 newly refused, 0 newly allowed\n");
    EXPECT_EQ(said.status, 0);
}

TEST_F(LogVerbs, UnusedAndLearnGoByTheHoursInWhichRequestsCame) {
    const std::string hours = "commands = [\"guest-get-users\"]\nwhen = { tz = \"UTC\", hours = ";
    write("p.toml", "schema = 1\n[[allow]]\nid = \"day\"\n" + hours +
                        "\"08:00-20:00\" }\n[[allow]]\nid = \"night\"\n" + hours + "\"20:00-08:00\" }\n");
    for (const char* time : {"2026-11-01T20:00:00", "2026-11-02T07:59:59", "2026-11-02T23:00:00"})
        add_at(time, "allow", "guest-get-users", ",\"rule\":\"night\"");
    keep();
    const Said unused = run("unused p.toml log");
    EXPECT_TRUE(
        unused.has("never used\n  'day' (p.toml:2)\nused, with the last time\n  'night' (p.toml:6): 3 "
                   "times, last 2026-11-02T23:00:00Z\n"))
        << unused.text;
    const Said learnt = run("learn --policy p.toml log | tee learnt.toml");
    EXPECT_TRUE(learnt.has("# Learnt from 3 requests")) << learnt.text;
    EXPECT_TRUE(learnt.has("hours = \"20:00-08:00\"")) << learnt.text;
    EXPECT_FALSE(learnt.has("hours = \"08:00-20:00\"")) << learnt.text;
    EXPECT_EQ(run("simulate learnt.toml log").status, 0);
    add_at("2026-11-03T08:00:00", "allow", "guest-get-users", ",\"rule\":\"day\"");
    keep("more");
    EXPECT_EQ(run("unused p.toml log more").status, 0);
    EXPECT_TRUE(run("simulate learnt.toml log more").has("1 newly refused"));
}

TEST_F(LogVerbs, HoursOfARuleAreThoseAtTheTimesOfTheLog) {
    write("p.toml", kPolicy + "when = { hours = \"01:02-01:04\", tz = \"Europe/Berlin\" }\n");
    for (int at = 0; at < 4; ++at) add("allow", "guest-fsfreeze-freeze", ",\"rule\":\"backup\"");
    add("allow", "guest-get-users", ",\"rule\":\"look\"");
    keep();
    const Said simulated = run("simulate p.toml log");
    EXPECT_TRUE(simulated.has("2 newly refused, 0 newly allowed")) << simulated.text;
    const Said unused = run("unused p.toml log");
    EXPECT_TRUE(unused.has("'backup' (p.toml:9): 2 times")) << unused.text;
    const Said learnt = run("learn --policy p.toml log");
    EXPECT_EQ(learnt.status, 0) << learnt.text;
    EXPECT_TRUE(learnt.has("Learnt from 3 requests")) << learnt.text;
    EXPECT_TRUE(learnt.has("tz = \"Europe/Berlin\"")) << learnt.text;
}

const std::string kTried =
    kPolicy +
    "[[deny]]\nid = \"no-keys\"\nfiles = [{ under = \"/srv/export/keys\" }]\nenforce = false\n"
    "expires = 2099-01-01T00:00:00Z\n"
    "[[allow]]\nid = \"halt\"\ncommands = [\"guest-shutdown\"]\nmodes = [\"halt\"]\nenforce = "
    "false\nexpires = 2099-01-01T00:00:00Z\n";

class DryRuns : public LogVerbs {
protected:
    void SetUp() override {
        write("p.toml", kTried);
        open("allow", "/srv/export/keys/a", kBy + ",\"would\":\"refuse\",\"would_rule\":\"no-keys\"");
        open("allow", "/srv/export/b", kBy);
        add("refuse", "guest-shutdown",
            ",\"arguments\":{\"mode\":\"halt\"},\"would\":\"allow\",\"would_rule\":\"halt\",\"reason\":\"the "
            "command is not allowed\"");
        keep();
    }
};

TEST_F(DryRuns, ReportAndMetricsCountThemByRule) {
    const Said words = run("report log");
    EXPECT_TRUE(
        words.has("dry runs\n  'halt' would have refused 0 and allowed 1, last 2026-11-01T00:03:00Z\n"
                  "  'no-keys' would have refused 1 and allowed 0, last 2026-11-01T00:01:00Z\n"))
        << words.text;
    EXPECT_TRUE(run("report --html page log; cat page").has("no-keys would have refused 1 and allowed 0"));
    EXPECT_TRUE(
        run("report --json log")
            .has(R"({"rule":"halt","would_refuse":0,"would_allow":1,"last":"2026-11-01T00:03:00Z"})"));
    const Said metrics = run("metrics log");
    EXPECT_TRUE(
        metrics.has("sallyport_dry_run_total{rule=\"halt\",would=\"allow\"} 1\n"
                    "sallyport_dry_run_total{rule=\"no-keys\",would=\"refuse\"} 1\n"))
        << metrics.text;
}

TEST_F(DryRuns, UnusedNamesThoseThatWouldHaveChangedNothing) {
    const std::string idle = "dry runs that would have changed nothing\n  'idle' (p.toml:";
    EXPECT_FALSE(run("unused p.toml log").has("dry runs that would have changed nothing"));
    write("p.toml",
          kTried +
              "[[deny]]\nid = \"idle\"\ncommands = [\"guest-get-load\"]\nenforce = false\nexpires = "
              "2099-01-01T00:00:00Z\n");
    EXPECT_TRUE(run("unused p.toml log").has(idle)) << run("unused p.toml log").text;
    const auto as_json = run("unused --json p.toml log");
    EXPECT_TRUE(as_json.has(R"("idle_dry_runs":[{"rule":"idle","where":"p.toml:)")) << as_json.text;
}

TEST_F(DryRuns, LearnTakesWhatOneWouldHaveAllowedForAllowedOnceTheRuleIsEnforced) {
    std::string enforced = kTried;
    enforced.replace(enforced.rfind("enforce = false\n"), 16, "");
    write("e.toml", enforced);
    const Said learnt = run("learn --policy e.toml log");
    EXPECT_EQ(learnt.status, 0);
    EXPECT_TRUE(learnt.has("guest-shutdown")) << learnt.text;
    const Said before = run("learn --policy p.toml log");
    EXPECT_EQ(before.status, 0);
    EXPECT_TRUE(before.has("enforce = false")) << "what dry-runs goes on: " << before.text;
}

TEST_F(DryRuns, SimulateShowsThemBesideWhatWasDecided) {
    std::string enforced = kTried;
    enforced.replace(enforced.find("enforce = false\n"), 16, "");
    write("e.toml", enforced);
    const Said said = run("simulate e.toml log");
    EXPECT_EQ(said.status, 3);
    EXPECT_TRUE(said.has("then: rule 'export'; would refuse by the dry run of 'no-keys'")) << said.text;
}

TEST_F(DryRuns, CheckListsThemWithTheirEndAndExplainSaysWhatTheyWouldChange) {
    const Said check = run("check p.toml");
    EXPECT_EQ(check.status, 0);
    EXPECT_TRUE(check.has("rules: 3\n") &&
                check.has("dry runs, which decide nothing: 2\n  deny  no-keys (p.toml:"))
        << check.text;
    EXPECT_TRUE(check.has("        dry run: until 2099-01-01T00:00:00Z\n")) << check.text;
    const Said refused = run("explain p.toml guest-file-open path=/srv/export/keys/a owner=1000");
    EXPECT_EQ(refused.status, 0);
    EXPECT_TRUE(refused.has("with the dry runs it would be refused by 'no-keys' (p.toml:")) << refused.text;
    EXPECT_TRUE(refused.has("which dry-runs until 2099-01-01T00:00:00Z\n"));
    EXPECT_TRUE(
        run("explain --json p.toml guest-shutdown mode=halt").has(R"("would":"allow","would_rule":"halt")"));
    EXPECT_FALSE(run("explain p.toml guest-shutdown mode=reboot").has("dry runs"));
    std::string expired = kTried;
    while (expired.contains("2099")) expired.replace(expired.find("2099"), 4, "2009");
    write("p.toml", expired);
    EXPECT_TRUE(
        run("check p.toml").has("warning: rule 'no-keys': its dry run is over, and it has no effect"));
    EXPECT_FALSE(run("explain p.toml guest-shutdown mode=halt").has("dry runs"));
}

TEST_F(DryRuns, StatusSaysWhatTheyWouldHaveChangedInTheLastHour) {
    scratch_.make_folder("state");
    const std::time_t moment = std::time(nullptr);
    std::array<char, 40> now{};
    std::strftime(now.data(), now.size(), "%Y-%m-%dT%H:%M:%S.000000Z", std::gmtime(&moment));
    write("state/audit.jsonl",
          std::string("{\"time\":\"") + now.data() +
              "\",\"verdict\":\"allow\",\"what\":\"guest-ping\",\"would\":\"refuse\",\"would_rule\":"
              "\"no-keys\",\"policy\":\"abcd\"}\n"
              "{\"time\":\"2026-01-01T00:00:00.000000Z\",\"verdict\":\"allow\",\"would\":\"refuse\",\"would_"
              "rule\":\"old\"}\n");
    const Said said = run("status --statedir state --policy p.toml");
    EXPECT_TRUE(said.has("  dry run: 'no-keys' would have refused 1\n")) << said.text;
    EXPECT_FALSE(said.has("'old'")) << said.text;
}

}  // namespace
}  // namespace sallyport::policy
