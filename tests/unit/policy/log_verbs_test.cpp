// The verbs that read audit logs, as an admin types them: what they print, and their statuses.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <ctime>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/run_tool.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::policy {
namespace {

using test::Said;

/// The path of the tool under test, from the command line.
std::string& tool() {
    static std::string path;
    return path;
}

const std::string kPolicy =
    "schema = 1\n[[allow]]\nid = \"look\"\ncommands = [\"@inspect\"]\n"
    "[[allow]]\nid = \"export\"\ncommands = [\"@file\"]\n"
    "files = [{ under = \"/srv/export\", access = [\"read\"], owner = [1000] }]\n"
    "[[allow]]\nid = \"backup\"\ncommands = [\"@freeze\"]\nfreeze = { max_frozen = \"10s\" }\n";

class LogVerbs : public testing::Test {
protected:
    Said run(const std::string& words) { return test::run_tool(tool(), scratch_.path(), words); }
    void write(const std::string& name, const std::string& text) { scratch_.write(name, text); }

    /// A line of the log; `rest` begins with the verdict's text. Each is a minute after the one before.
    void add(const std::string& verdict, const std::string& what, const std::string& rest = "") {
        const std::string minute = std::to_string(lines_ + 1);
        add_at(std::string("2026-11-01T00:") + (minute.size() < 2 ? "0" : "") + minute + ":00", verdict, what,
               rest);
    }
    void add_at(const std::string& time, const std::string& verdict, const std::string& what,
                const std::string& rest = "") {
        ++lines_;
        std::string line = "{\"time\":\"" + time +
                           ".000000Z\",\"boottime_us\":" + std::to_string(lines_ * 60'000'000LL) +
                           ",\"run\":\"1f3a5b7c\",\"seq\":" + std::to_string(lines_) +
                           ",\"session\":1,\"verdict\":\"" + verdict + "\",\"what\":\"" + what + "\"" + rest +
                           ",\"policy\":\"abcd\",\"prev\":\"" + last_ + "\"}";
        last_ = test::hash_of_line(line);
        log_ += line + "\n";
    }
    void open(const std::string& verdict, const std::string& path, const std::string& rest) {
        add(verdict, "guest-file-open", ",\"arguments\":{\"path\":\"" + path + "\",\"mode\":\"r\"}" + rest);
    }
    void keep(const std::string& name = "log") {
        write(name, log_);
        log_.clear();
    }

    test::Scratch scratch_;
    std::string log_;
    std::string last_ = std::string(64, '0');
    int lines_ = 0;
};

const std::string kBy = ",\"rule\":\"export\"";
const std::string kByNone = ",\"reason\":\"no allow rule covers this path and mode\"";

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
    add("note", "an event with \\\" and \\\\", ",\"lost\":3,\"unwritten\":{\"guest-ping\":5}");
    add("allow", "guest-fsfreeze-freeze", ",\"arguments\":{\"count\":2},\"rule\":\"backup\"");
    keep();
    const Said said = run("metrics log");
    ASSERT_EQ(said.status, 0);
    EXPECT_TRUE(said.has("sallyport_requests_total{command=\"guest-file-open\",verdict=\"refuse\"} 1\n"))
        << said.text;
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

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (argc != 2) return 2;
    sallyport::policy::tool() = argv[1];
    return RUN_ALL_TESTS();
}
