// The verbs that read audit logs, as an admin types them: what they print, and their statuses.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "base/unique_fd.hpp"
#include "tests/unit/policy/log_verbs.hpp"

namespace sallyport::policy {
namespace {

TEST_F(LogVerbs, SimulateSaysByItsStatusWhatAnotherPolicyWouldHaveAnswered) {
    write("old.toml", kPolicy);
    std::string narrower = kPolicy, wider = kPolicy;
    narrower.replace(narrower.find("/srv/export\""), 12, "/srv/export/a\"");
    wider.replace(wider.find("/srv/export\""), 12, "/srv\"");
    write("narrower.toml", narrower);
    write("wider.toml", wider);
    open("allow", "/srv/export/a/1", kBy);
    open("allow", "/srv/export/b/1", kBy);
    open("refuse", "/srv/other", kByNone);
    add("allow", "guest-get-users", ",\"rule\":\"look\"");
    add("note", "start");
    keep();
    const Said same = run("simulate old.toml log");
    EXPECT_EQ(same.status, 0);
    EXPECT_EQ(same.text, "4 decisions asked again: 0 newly refused, 0 newly allowed\n");
    const Said less = run("simulate narrower.toml log");
    EXPECT_EQ(less.status, 3);
    EXPECT_TRUE(less.has("1 newly refused")) << less.text;
    EXPECT_TRUE(less.has("path=/srv/export/b/1")) << less.text;
    EXPECT_TRUE(less.has("then: rule 'export'\n    now:  no allow rule matches")) << less.text;
    const Said more = run("simulate --json wider.toml log");
    EXPECT_EQ(more.status, 4);
    EXPECT_EQ(boost::json::parse(more.text).at("newly_allowed").as_int64(), 1);
    EXPECT_EQ(run("simulate --since 2026-11-01T00:04:00Z wider.toml log").text,
              "1 decisions asked again: 0 newly refused, 0 newly allowed\n");
    EXPECT_EQ(run("simulate --since yesterday wider.toml log").status, 2);
    EXPECT_EQ(run("simulate wider.toml missing").status, 1);
}

TEST_F(LogVerbs, SimulateDoesNotTakeAFileThatWasFoundForADecisionOfTheRules) {
    write("p.toml", kPolicy);
    open("refuse", "/srv/export/a",
         kBy + ",\"reason\":\"the file is not of a kind, owner or size that the rule accepts\"");
    open("refuse", "/srv/export/a", ",\"reason\":\"file systems are frozen\"");
    keep();
    const Said said = run("simulate p.toml log");
    EXPECT_EQ(said.status, 0) << said.text;
    EXPECT_TRUE(said.has("2 refusals were not by the rules alone")) << said.text;
}

TEST_F(LogVerbs, UnusedNamesRulesThatNoRequestNeededAndWhenOthersWereUsedLast) {
    write("p.toml", kPolicy);
    open("allow", "/srv/export/a", kBy);
    open("allow", "/srv/export/b", kBy);
    open("refuse", "/etc/passwd", kByNone);
    add("allow", "guest-get-users", ",\"rule\":\"look\"");
    keep();
    const Said said = run("unused p.toml log");
    EXPECT_EQ(said.status, 3);
    EXPECT_TRUE(said.has("never used\n  'backup' (p.toml:9)\n")) << said.text;
    EXPECT_TRUE(said.has("'export' (p.toml:5), files '/srv/export': 2 times, last 2026-11-01T00:02:00Z"))
        << said.text;
    EXPECT_TRUE(said.has("'access' of 'export'")) << said.text;
    EXPECT_FALSE(said.has("'under' of")) << "a request failed by its path alone: " << said.text;
    EXPECT_FALSE(said.has("'owner' of")) << "no log has it: " << said.text;
    const auto parts = boost::json::parse(run("unused --json p.toml log").text).at("unused").as_int64();
    EXPECT_EQ(parts, 1);
    add("allow", "guest-fsfreeze-freeze", ",\"rule\":\"backup\"");
    keep("more");
    EXPECT_EQ(run("unused p.toml log more").status, 0);
}

TEST_F(LogVerbs, LearnProposesAPolicyThatAllowsTheLogAndNothingElse) {
    for (int at = 0; at < 12; ++at) open("allow", "/srv/export/report-" + std::to_string(at), kBy);
    open("allow", "/var/log/syslog", kBy);
    open("refuse", "/etc/shadow", kByNone);
    add("allow", "guest-get-users", ",\"rule\":\"look\"");
    add("allow", "guest-shutdown", ",\"arguments\":{\"mode\":\"reboot\"}");
    for (const char* unit : {"db", "web"})
        add("allow", "guest-exec",
            std::string(",\"arguments\":{\"path\":\"/usr/bin/probe\",\"arg\":\"--unit ") + unit +
                "\",\"args\":2,\"pid\":7}");
    keep();
    const Said said = run("learn log | tee learnt.toml");
    EXPECT_TRUE(said.has("# Proved: it allows each of them")) << said.text;
    EXPECT_TRUE(said.has("under = \"/srv/export\", access = [\"read\"]")) << said.text;
    EXPECT_TRUE(said.has("under = \"/var/log/syslog\"")) << said.text;
    EXPECT_TRUE(said.has("modes = [\"reboot\"]")) << said.text;
    EXPECT_TRUE(said.has("args = [\"--unit\", \"db\"]")) << said.text;
    EXPECT_TRUE(said.has("# seen 13 times, last 2026-11-01T00:13:00Z")) << said.text;
    EXPECT_TRUE(said.has("# Left out: 1 requests that were refused then")) << said.text;
    EXPECT_FALSE(said.has("under = \"/etc/shadow\"")) << said.text;
    EXPECT_FALSE(said.has("guest-suspend")) << said.text;
    EXPECT_EQ(run("check learnt.toml > checked").status, 0);
    EXPECT_EQ(run("simulate learnt.toml log").status, 0);
    EXPECT_TRUE(run("learn --refused log").has("under = \"/etc/shadow\""));
}

TEST_F(LogVerbs, LearnLeavesOutWhatNoPolicyCanNameAndLearnsTheRest) {
    open("allow", "/srv/export/a", kBy);
    open("allow", "/srv/\\u00ff", kBy);
    add("allow", "guest-exec", R"(,"arguments":{"path":"x","args":0})");
    add("allow", "guest-exec", R"(,"arguments":{"path":"/bin/x/../y","args":0})");
    add("allow", "guest-exec", R"(,"arguments":{"path":"/bin/x","args":1,"arg":"\u00ff"})");
    add("fail", "guest-set-user-password", R"(,"arguments":{"user":"no-such-user","crypted":"yes"})");
    add("fail", "guest-set-vcpus", R"(,"arguments":{"set":"-1","count":1})");
    keep();
    const Said said = run("learn log");
    EXPECT_EQ(said.status, 0) << said.text;
    EXPECT_TRUE(said.has("Learnt from 1 requests")) << said.text;
    EXPECT_TRUE(said.has("Left out: 6 requests that no policy of this machine can name")) << said.text;
    EXPECT_TRUE(said.has("under = \"/srv/export/a\"")) << said.text;
}

TEST_F(LogVerbs, LearnGivesNothingThatTheOldPolicyRefusesOrForbids) {
    write("old.toml", kPolicy +
                          "[[deny]]\nid = \"keys\"\nfiles = [{ under = \"/srv/export/keys\" }]\n"
                          "[[never]]\nid = \"no-shell\"\ncommands = [\"guest-exec\"]\n");
    for (int at = 0; at < 20; ++at) open("allow", "/srv/export/report-" + std::to_string(at), kBy);
    open("allow", "/srv/export/keys/a", kBy);
    open("allow", "/srv/elsewhere", kBy);
    keep();
    EXPECT_EQ(run("learn --policy old.toml log > learnt.toml").status, 0);
    const Said learnt = run("diff old.toml learnt.toml");
    EXPECT_EQ(learnt.status, 3) << learnt.text;
    EXPECT_FALSE(learnt.has("wider")) << learnt.text;
    const Said text = run("learn --policy old.toml log");
    EXPECT_TRUE(text.has("# Left out: 2 requests that the policy refuses")) << text.text;
    EXPECT_TRUE(text.has("[[never]]\nid = \"no-shell\"")) << text.text;
    EXPECT_TRUE(text.has("owner = [1000]")) << "what no log shows stays as it was: " << text.text;
}

TEST_F(LogVerbs, LearnNeedsFilesThatItCanReadTwice) {
    open("allow", "/srv/export/a", kBy);
    keep();
    EXPECT_EQ(run("learn - < /dev/null").status, 0) << "that is no pipe";
    EXPECT_EQ(run("learn - < log > learnt").status, 0);
    write("pipe.sh", "cat log | " + tool() + " learn -");
    EXPECT_EQ(run("--version > version; sh pipe.sh").status, 2);
}

// The rules of the text format, and of promtool's linter.
TEST_F(LogVerbs, MetricsAreWhatPrometheusTakes) {
    add("note", "start");
    open("allow", "/srv/export/a", kBy);
    open("refuse", "/etc/passwd", kByNone);
    for (int at = 0; at < 2; ++at)
        add("refuse", "guest-get-users",
            R"(,"arguments":{"budget":"rate"},"rule":"look","reason":"the rule's budget is spent")");
    add("note", "an event with \\\" and \\\\", ",\"lost\":3,\"unwritten\":{\"guest-ping\":5}");
    add("allow", "guest-fsfreeze-freeze", ",\"arguments\":{\"count\":2},\"rule\":\"backup\"");
    keep();
    const Said said = run("metrics log");
    ASSERT_EQ(said.status, 0);
    EXPECT_TRUE(said.has("sallyport_requests_total{command=\"guest-file-open\",verdict=\"refuse\"} 1\n"))
        << said.text;
    EXPECT_TRUE(said.has("sallyport_budget_refused_total{rule=\"look\",budget=\"rate\"} 2\n")) << said.text;
    EXPECT_TRUE(said.has("sallyport_frozen 1\n")) << said.text;
    EXPECT_TRUE(said.has("sallyport_lost_records_total 3\n")) << said.text;
    EXPECT_TRUE(said.has("sallyport_unwritten_total{what=\"guest-ping\"} 5\n")) << said.text;
    EXPECT_TRUE(said.has("sallyport_policy_info{digest=\"abcd\"} 1\n")) << said.text;
    std::istringstream lines(said.text);
    std::string line, name, type;
    std::set<std::string> families, samples;
    const std::regex sample(R"(^([a-z_]+)(\{[a-z_]+="[^"\\]*"(,[a-z_]+="[^"\\]*")*\})? [0-9]+(\.[0-9]+)?$)");
    while (std::getline(lines, line)) {
        std::smatch match;
        if (std::regex_match(line, match, std::regex("# HELP ([a-z_]+) [A-Z].*[.]"))) {
            name = match[1];
            EXPECT_TRUE(families.insert(name).second) << "twice: " << name;
            std::getline(lines, line);
            ASSERT_TRUE(std::regex_match(line, match, std::regex("# TYPE " + name + " (counter|gauge)")))
                << line;
            type = match[1];
            EXPECT_EQ(type == "counter", name.ends_with("_total")) << name;
            continue;
        }
        ASSERT_TRUE(std::regex_match(line, match, sample)) << line;
        EXPECT_EQ(match[1], name) << line;
        EXPECT_TRUE(samples.insert(match[1].str() + match[2].str()).second) << "twice: " << line;
    }
    EXPECT_TRUE(boost::json::parse(run("metrics --json log").text).as_object().contains("sallyport_frozen"));
}

TEST_F(LogVerbs, ReportTellsWhatWasRefusedHowLongFreezesLastedAndWhatWasNeverNeeded) {
    write("p.toml", kPolicy);
    open("refuse", "/etc/passwd", kByNone);
    add("allow", "guest-fsfreeze-freeze", ",\"arguments\":{\"count\":2},\"rule\":\"backup\"");
    add("allow", "guest-fsfreeze-thaw", ",\"arguments\":{\"count\":2}");
    keep();
    const Said said = run("report --policy p.toml log");
    EXPECT_EQ(said.status, 0) << said.text;
    EXPECT_TRUE(said.has("sallyport-policy explain p.toml --denial 1f3a5b7c-1 --log log")) << said.text;
    EXPECT_TRUE(said.has("1 min of 10 s, 2 file systems, ended by the host")) << said.text;
    EXPECT_TRUE(said.has("never needed\n  'look' (p.toml:2)\n  'export' (p.toml:5)")) << said.text;
    EXPECT_TRUE(said.has("holds over 3 lines from its beginning")) << said.text;
    EXPECT_EQ(run("explain p.toml --denial 1f3a5b7c-1 --log log").status, 3)
        << "the command that is shown works";
    const auto json = boost::json::parse(run("report --json --policy p.toml log").text);
    EXPECT_EQ(json.at("freeze_list").at(0).at("length_us").as_int64(), 60'000'000);
}

TEST_F(LogVerbs, ReportNamesTheFirstLineThatDoesNotFollow) {
    open("allow", "/srv/export/a", kBy);
    open("allow", "/srv/export/b", kBy);
    log_.replace(log_.find("export/a"), 8, "export/x");
    keep();
    const Said said = run("report log");
    EXPECT_EQ(said.status, 3);
    EXPECT_TRUE(said.has("BROKEN, first at log:2")) << said.text;
    EXPECT_EQ(run("report --since 2026-11-01T00:02:00Z log").status, 3)
        << "the chain is looked at as a whole";
}

TEST_F(LogVerbs, PageHasNothingThatABrowserWouldTakeForMoreThanText) {
    const std::string evil = "/<script>alert(1)</script>\\\"><img src=x onerror=alert(1)>'&\\u001b[2J";
    open("refuse", evil, kByNone + ",\"rule\":\"</style><u>\"");
    add("note", "</h1><svg onload=alert(1)>", ",\"unwritten\":{\"<i>\":1}");
    log_ += "<damaged>\n";
    add("note", "start");
    keep("<log>");
    ASSERT_EQ(run("report --html page.html '<log>'").status, 3)
        << "after a damaged line the chain does not hold";
    const std::string page = test::read_file(scratch_.path("page.html"));
    for (const char* part : {"<script", "<img", "<u>", "<i>", "onload=alert(1)>", "</h1><svg", "http://",
                             "https://", "url(", "@import", "\x1b"})
        EXPECT_EQ(page.find(part), page.npos) << part;
    EXPECT_NE(page.find("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&gt;&lt;img src=x"), page.npos);
    EXPECT_NE(page.find("default-src 'none'"), page.npos);
    EXPECT_NE(page.find("prefers-color-scheme: dark"), page.npos);
}

TEST_F(LogVerbs, JsonHasNothingThatATerminalTakesForMoreThanText) {
    // As characters and as bytes: a control sequence's beginning, backwards writing, delete, what is no UTF-8.
    const std::string evil =
        "/\xc2\x9b"
        "31m\xe2\x80\xae\x7f\x9b\\u001b[31m\xc3\xa4";
    open("refuse", evil, kByNone + ",\"rule\":\"" + evil + "\"");
    add("allow", "guest-get-users", ",\"unwritten\":{\"" + evil + "\":1},\"rule\":\"" + evil + "\"");
    keep();
    write("p.toml", kPolicy);
    for (const char* words : {"report --json log", "simulate --json p.toml log", "learn --json log"}) {
        const Said said = run(words);
        for (const char* part : {"\xc2\x9b", "\xe2\x80\xae", "\x7f", "\x9b", "\x1b"})
            EXPECT_FALSE(said.has(part)) << words;
        boost::system::error_code error;
        boost::json::parse(said.text, error);
        EXPECT_FALSE(error) << words << ": " << said.text;
    }
    EXPECT_TRUE(run("report --json log").has("/\\u009b31m\\u202e\\u007f\\u009b")) << "by their numbers";
    EXPECT_TRUE(run("report --json log").has("\xc3\xa4")) << "what is a character stays one";
}

TEST_F(LogVerbs, DamagedAndOverlongLinesAreNamedAndTheRestIsRead) {
    open("allow", "/srv/export/a", kBy);
    log_ += "{\"time\":\"cut\n" + std::string(200'000, 'x') + "\n";
    open("allow", "/srv/export/b", kBy);
    keep();
    const Said said = run("metrics log");
    EXPECT_EQ(said.status, 0);
    EXPECT_TRUE(
        said.has("2 of 4 lines are no records and are left out:\n  log:2: damaged\n  log:3: longer than any "
                 "line of the log\n"))
        << said.text;
    EXPECT_TRUE(said.has("verdict=\"allow\"} 2\n")) << said.text;
    EXPECT_TRUE(said.has("sallyport_log_damaged_lines_total 2\n")) << said.text;
}

TEST_F(LogVerbs, StatusKnowsThePolicyInForceHoweverLargeTheLogIs) {
    write("p.toml", kPolicy);
    write("audit.lock", "");
    const UniqueFd lock(::open(scratch_.path("audit.lock").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
    add("note", "start");
    add("refuse", "guest-get-users");
    keep("audit.jsonl");
    EXPECT_EQ(run("status --statedir . --serves abcd").status, 0);
    const std::string path = scratch_.path("audit.jsonl");
    const std::string lines = test::read_file(path);
    write("audit.jsonl", "");
    ASSERT_EQ(::truncate(path.c_str(), off_t{65} << 20U), 0);
    std::ofstream(path, std::ios::app) << "\n" << lines;
    EXPECT_EQ(run("status --statedir . --serves abcd").status, 0) << "apply would take the policy back";
    EXPECT_TRUE(run("status --statedir . --policy p.toml").has("agent: runs; started 2026-11-01T00:01:00"));
    std::ofstream(path, std::ios::trunc) << lines;
    ASSERT_EQ(::truncate(path.c_str(), off_t{65} << 20U), 0);
    std::ofstream(path, std::ios::app) << "\n" << lines.substr(lines.find('\n') + 1);
    EXPECT_EQ(run("status --statedir . --serves abcd").status, 0);
    EXPECT_TRUE(run("status --statedir . --policy p.toml").has("of the last 64 MiB of the log"));
}

TEST_F(LogVerbs, RotatedFilesAreReadInTheOrderOfTheChainAndStandardInputToo) {
    add("allow", "guest-fsfreeze-freeze", ",\"arguments\":{\"count\":2},\"rule\":\"backup\"");
    keep("a");
    add("note", "thawed", ",\"arguments\":{\"cause\":\"DEADLINE\",\"count\":2}");
    keep("b");
    for (const char* order : {"a b", "b a"}) {
        const Said said = run(std::string("report ") + order);
        EXPECT_EQ(said.status, 0) << said.text;
        EXPECT_TRUE(said.has("1 min, 2 file systems, ended by its limit")) << said.text;
    }
    EXPECT_TRUE(run("report - < a").has("still frozen"));
}

TEST_F(LogVerbs, ExplainReadsAPathWithTheBytesThatItHad) {
    write("p.toml",
          "schema = 1\n[[allow]]\nid = \"a\"\ncommands = [\"@file\"]\nfiles = [{ under = \"/srv/gr\u00fcn\", "
          "access = [\"read\"] }]\n");
    open("allow", "/srv/gr\\u00c3\\u00bcn/a", ",\"rule\":\"a\"");
    keep();
    const Said said = run("explain p.toml --denial 1f3a5b7c-1 --log log");
    EXPECT_EQ(said.status, 0) << said.text;
}

}  // namespace
}  // namespace sallyport::policy

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (argc != 2) return 2;
    sallyport::policy::tool() = argv[1];
    return RUN_ALL_TESTS();
}
