// guest-exec and guest-exec-status with real programs: what runs, as whom and how far, and what the host and the log are told.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"

namespace sallyport::test {
namespace {

namespace json = boost::json;

// A folder that anybody may enter and only root may change, as programs need it.
class Open {
public:
    Open() {
        EXPECT_NE(::mkdtemp(path_.data()), nullptr);
        EXPECT_EQ(::chmod(path_.c_str(), 0755), 0);
    }
    ~Open() { std::filesystem::remove_all(path_); }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
    [[nodiscard]] std::string path(std::string_view name) const { return path_ + "/" + std::string(name); }

private:
    std::string path_ = "/run/sallyport-exec-XXXXXX";
};

// A rule for one shell text with the name that the host gives as the last word.
std::string rule(std::string_view name, std::string_view text, std::string_view more = "") {
    return "[[allow]]\nid = \"" + std::string(name) +
           "\"\ncommands = [\"guest-exec\"]\n[[allow.exec]]\nprogram = " +
           "\"/bin/sh\"\nargs = [\"-c\", '''" + std::string(text) + "''', \"" + std::string(name) + "\"]\n" +
           (more.find("run_as") == more.npos ? "run_as = \"root\"\n" : "") + std::string(more) + "\n";
}

class Exec : public testing::Test {
protected:
    void serve(const std::string& rules) {
        agent_.emplace(AgentOptions{.policy = "schema = 1\n" + rules});
        ASSERT_TRUE(agent_->is_serving()) << agent_->messages();
        host_.emplace(agent_->connect());
    }
    // The words of a rule(), as the host gives them.
    std::string words(const std::string& rules, std::string_view name) {
        const std::size_t at = rules.find("id = \"" + std::string(name) + "\"");
        const std::size_t begin = rules.find("'''", at) + 3;
        const std::string text = rules.substr(begin, rules.find("'''", begin) - begin);
        return json::serialize(json::array{"-c", text, json::string(name)});
    }
    std::string ask(std::string_view path, const std::string& args, const std::string& more = "") {
        return host_->ask(
            command("guest-exec", "{\"path\":" + in_quotes(path) + ",\"arg\":" + args + more + "}"));
    }
    std::int64_t start(const std::string& rules, std::string_view name, const std::string& more = kCapture) {
        const std::string reply = ask("/bin/sh", words(rules, name), more);
        return result_of(reply).at("pid").as_int64();
    }
    std::string status(std::int64_t pid) {
        return host_->ask(command("guest-exec-status", "{\"pid\":" + std::to_string(pid) + "}"),
                          milliseconds(30'000));
    }
    json::object end_of(std::int64_t pid) {
        json::object ended;
        EXPECT_TRUE(eventually([&] {
            ended = result_of(status(pid)).as_object();
            return ended.at("exited").as_bool();
        }));
        return ended;
    }
    json::object run(const std::string& rules, std::string_view name, const std::string& more = kCapture) {
        return end_of(start(rules, name, more));
    }
    static std::string out(const json::object& ended) {
        return ended.contains("out-data") ? from_base64(ended.at("out-data").as_string()) : "";
    }
    static std::string not_permitted(std::string_view path) {
        return "Failed to execute child process \u201C" + std::string(path) +
               "\u201D (Operation not permitted) (denial ";
    }

    inline static const std::string kCapture = ",\"capture-output\":true";
    Open folder_;
    std::optional<Agent> agent_;
    std::optional<HostClient> host_;
};

TEST_F(Exec, RunsWithExactlyTheWordsUserGroupsAndEnvironmentOfTheRule) {
    const std::string rules =
        "[[allow]]\nid = \"x\"\ncommands = [\"@exec\"]\n[[allow.exec]]\nprogram = \"/bin/sh\"\nrun_as = "
        "\"backup\"\n"
        "args = [\"-c\", 'id -u; id -g; id -G; printf \"%s|\" \"$0\" \"$@\"; echo; env; umask; ls "
        "/proc/self/fd; pwd', \"zero\", "
        "{ one_of = [\"db\", \"web\"] }, { int = [1, 10] }, { name = 8 }]\n"
        "env = { LANG = \"C.UTF-8\", FIXED = \"a b\" }\nhost_env = [\"GIVEN\"]\n";
    serve(rules);
    const std::string text =
        "id -u; id -g; id -G; printf \"%s|\" \"$0\" \"$@\"; echo; env; umask; ls /proc/self/fd; pwd";
    const std::string args = json::serialize(json::array{"-c", text, "zero", "web", "10", "a.b"});
    const auto pid =
        result_of(ask("/bin/sh", args, R"(,"env":["GIVEN=x y"],"capture-output":true)")).at("pid").as_int64();
    const std::string seen = out(end_of(pid));
    // ls has one descriptor more: the folder that it lists.
    EXPECT_TRUE(seen.starts_with("34\n34\n34\nzero|web|10|a.b|\n")) << seen;
    for (const char* part : {"\nLANG=C.UTF-8\n", "\nFIXED=a b\n", "\nGIVEN=x y\n", "\n0022\n0\n1\n2\n3\n"})
        EXPECT_NE(seen.find(part), std::string::npos) << part << seen;
    EXPECT_EQ(std::ranges::count(seen, '='), 5) << seen;  // these, PATH and the shell's PWD
}

TEST_F(Exec, NeighboursOfTheAllowedRequestAreRefusedAndStartNothing) {
    const std::string rules = rule("mark", "touch " + folder_.path("mark") + "; cat", "input = \"4B\"");
    serve(rules);
    const std::string good = words(rules, "mark");
    const std::string text = std::string(json::parse(good).at(1).as_string());
    const auto list = [](std::initializer_list<json::string> all) {
        return json::serialize(json::array(all.begin(), all.end()));
    };
    const json::string t(text);
    for (const std::string& args :
         {list({"-c", t, "mark", ""}), list({"-c", t}), list({t, "-c", "mark"}), list({"-c", "mark", t}),
          list({}), list({json::string("-c " + text + " mark")}),
          list({"-c", json::string(text + " "), "mark"}), list({"-c", json::string(text + "\n"), "mark"}),
          list({"-x", t, "mark"}), list({"-c", t, "-mark"})})
        EXPECT_TRUE(desc_of(ask("/bin/sh", args)).starts_with(not_permitted("/bin/sh"))) << args;
    for (const char* path : {"/bin/dash", "sh", "/bin/../bin/sh", "/bin//sh", "/usr/bin/sh", "bin/sh", ""})
        EXPECT_TRUE(desc_of(ask(path, good)).starts_with(not_permitted(path))) << path;
    EXPECT_TRUE(desc_of(ask("/bin/sh", good, ",\"input-data\":\"" + base64("12345") + "\""))
                    .starts_with(not_permitted("/bin/sh")));
    EXPECT_TRUE(desc_of(ask("/bin/sh", good, R"(,"env":["A=1"])")).starts_with(not_permitted("/bin/sh")));
    EXPECT_EQ(agent_->count_audit("what", "program-ended"), 0U);
    EXPECT_FALSE(std::filesystem::exists(folder_.path("mark")));
    EXPECT_EQ(out(run(rules, "mark", kCapture + ",\"input-data\":\"" + base64("1234") + "\"")), "1234");
    EXPECT_TRUE(std::filesystem::exists(folder_.path("mark")));
}

TEST_F(Exec, OutputIsKeptUpToTheBoundAndTheRestIsThrownAway) {
    const std::string rules =
        rule("much", "head -c 209715200 /dev/zero; head -c 70000 /dev/zero >&2", "output = \"70000B\"");
    serve(rules);
    const auto ended = run(rules, "much");
    EXPECT_EQ(ended.at("exitcode").as_int64(), 0);
    EXPECT_EQ(out(ended), std::string(70'000, '\0'));
    EXPECT_TRUE(ended.at("out-truncated").as_bool());
    EXPECT_EQ(from_base64(ended.at("err-data").as_string()).size(), 70'000U);
    EXPECT_FALSE(ended.at("err-truncated").as_bool());
}

TEST_F(Exec, EndIsToldOnceWithStatusOrSignal) {
    const std::string rules = rule("three", "exit 3") + rule("kill", "kill -9 $$");
    serve(rules);
    const auto pid = start(rules, "three");
    EXPECT_EQ(json::serialize(end_of(pid)), R"({"exitcode":3,"exited":true})");
    EXPECT_EQ(status(pid), error_line("PID " + std::to_string(pid) + " does not exist"));
    EXPECT_EQ(json::serialize(run(rules, "kill")), R"({"signal":9,"exited":true})");
}

TEST_F(Exec, ModesOfCapture) {
    const std::string rules = rule("both", "echo a; echo b >&2; echo c");
    serve(rules);
    const auto replied = [&](const std::string& mode) {
        const auto ended = run(rules, "both", mode.empty() ? "" : ",\"capture-output\":" + mode);
        return out(ended) + "/" +
               (ended.contains("err-data") ? from_base64(ended.at("err-data").as_string()) : "");
    };
    EXPECT_EQ(replied(""), "/");
    EXPECT_EQ(replied("false"), "/");
    EXPECT_EQ(replied("\"none\""), "/");
    EXPECT_EQ(replied("true"), "a\nc\n/b\n");
    EXPECT_EQ(replied("\"separated\""), "a\nc\n/b\n");
    EXPECT_EQ(replied("\"stdout\""), "a\nc\n/");
    EXPECT_EQ(replied("\"stderr\""), "/b\n");
    EXPECT_EQ(replied("\"merged\""), "a\nb\nc\n/");
}

TEST_F(Exec, MaxRuntimeEndsItWithEverythingThatItStartedAndOnlyThenIsItsPlaceFree) {
    // In sessions of their own, with nobody of their own above them, deaf to signals; one holds the output open, one nothing.
    const std::string rules = rule("stay",
                                   "trap '' TERM HUP INT; setsid sh -c 'sleep 1000; :' & (setsid sh -c "
                                   "'sleep 1000; :' >/dev/null 2>&1 &); echo here; exit 7",
                                   "max_runtime = \"1s\"");
    serve(rules);
    const auto pid = start(rules, "stay");
    EXPECT_EQ(desc_of(ask("/bin/sh", words(rules, "stay"))),
              "Failed to execute child process \u201C/bin/sh\u201D (Resource temporarily unavailable)");
    const auto ended = end_of(pid);
    EXPECT_EQ(ended.at("exitcode").as_int64(), 7) << "its own end, whoever else is killed";
    EXPECT_EQ(out(ended), "here\n");
    std::string reply;
    EXPECT_TRUE(eventually([&] { return desc_of(reply = ask("/bin/sh", words(rules, "stay"))).empty(); }))
        << reply;
}

TEST_F(Exec, OneThatIgnoresSignalsIsKilledAtMaxRuntime) {
    const std::string rules =
        rule("deaf", "trap '' TERM HUP INT; while :; do sleep 1000; done", "max_runtime = \"300ms\"");
    serve(rules);
    EXPECT_EQ(json::serialize(run(rules, "deaf")), R"({"signal":9,"exited":true})");
    EXPECT_EQ(agent_->count_audit("what", "program-ended"), 1U);
    EXPECT_NE(read_file(agent_->audit_file()).find("\"max_runtime\":\"passed\""), std::string::npos);
}

TEST_F(Exec, OneThatClosesItsOutputEarlyRunsOnUntilItEnds) {
    const std::string fifo = folder_.path("go");
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    const std::string rules = rule("early", "echo out; exec 1>&- 2>&-; read -r line < " + fifo + "; exit 4");
    serve(rules);
    const auto pid = start(rules, "early");
    for (int times = 0; times < 50; ++times) EXPECT_EQ(status(pid), R"({"return": {"exited": false}})");
    const UniqueFd go(::open(fifo.c_str(), O_WRONLY));
    ASSERT_EQ(::write(go.get(), "\n", 1), 1);
    const auto ended = end_of(pid);
    EXPECT_EQ(ended.at("exitcode").as_int64(), 4);
    EXPECT_EQ(out(ended), "out\n");
}

TEST_F(Exec, BackgroundChildThatHoldsTheOutputDelaysTheEnd) {
    const std::string fifo = folder_.path("go");
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    const std::string rules = rule("back", "(read -r line < " + fifo + "; echo late) & exit 5");
    serve(rules);
    const auto pid = start(rules, "back");
    for (int times = 0; times < 50; ++times) EXPECT_EQ(status(pid), R"({"return": {"exited": false}})");
    const UniqueFd go(::open(fifo.c_str(), O_WRONLY));
    ASSERT_EQ(::write(go.get(), "\n", 1), 1);
    const auto ended = end_of(pid);
    EXPECT_EQ(ended.at("exitcode").as_int64(), 5);
    EXPECT_EQ(out(ended), "late\n");
}

TEST_F(Exec, ResultsOutliveTheWorkerAndProgramsRunOn) {
    const std::string fifo = folder_.path("go");
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    const std::string rules =
        rule("done", "head -c 60000 /dev/zero") + rule("runs", "read -r line < " + fifo + "; echo on");
    serve(rules);
    const auto done = start(rules, "done");
    const auto runs = start(rules, "runs");
    ASSERT_TRUE(eventually([&] { return agent_->count_audit("what", "program-ended") == 1; }));
    send_signal(agent_->worker(), SIGKILL);
    host_.emplace(agent_->connect());
    EXPECT_EQ(out(end_of(done)).size(), 60'000U);
    const UniqueFd go(::open(fifo.c_str(), O_WRONLY));
    ASSERT_EQ(::write(go.get(), "\n", 1), 1);
    EXPECT_EQ(out(end_of(runs)), "on\n");
}

TEST_F(Exec, ProgramsEndWithTheAgent) {
    const std::string rules =
        rule("stay", "trap '' TERM HUP INT; echo $$ > " + folder_.path("pid") + "; setsid sh -c 'echo $$ > " +
                         folder_.path("pid2") + "; sleep 1000; :'; :");
    serve(rules);
    start(rules, "stay");
    ASSERT_TRUE(eventually([&] {
        return std::filesystem::exists(folder_.path("pid2")) && !read_file(folder_.path("pid2")).empty();
    }));
    const pid_t first = std::atoi(read_file(folder_.path("pid")).c_str());
    const pid_t second = std::atoi(read_file(folder_.path("pid2")).c_str());
    ASSERT_TRUE(is_running(first) && is_running(second));
    EXPECT_EQ(agent_->stop(), 0);
    EXPECT_TRUE(eventually([&] { return !is_running(first) && !is_running(second); }));
}

// Of that name, once there is one.
pid_t child_called(pid_t parent, std::string_view name) {
    pid_t found = -1;
    EXPECT_TRUE(eventually([&] {
        for (const pid_t one : children_of(parent))
            if (read_file("/proc/" + std::to_string(one) + "/comm") == std::string(name) + "\n") found = one;
        return found > 0;
    })) << name;
    return found;
}

TEST_F(Exec, WhoWaitsForAProgramIsThereBeforeItIsAskedForAndMayBeKilled) {
    const std::string rules = rule("one", "exit 6");
    serve(rules);
    const pid_t launcher = child_called(agent_->broker().pid(), "launcher");
    const pid_t supervisor = child_called(launcher, "launcher");
    send_signal(child_called(supervisor, "launcher"), SIGKILL);
    EXPECT_TRUE(eventually([&] { return !is_running(supervisor); }));
    // It waits for ever, and does not try again and again; poll() is its call 7.
    EXPECT_TRUE(eventually([&] {
        const std::string call = read_file("/proc/" + std::to_string(launcher) + "/syscall");
        return children_of(launcher).empty() && call.starts_with("7 ") &&
               call.find(" 0xffffffff ") != call.npos;
    }));
    EXPECT_EQ(run(rules, "one").at("exitcode").as_int64(), 6);
    send_signal(child_called(launcher, "launcher"), SIGKILL);
    // Whoever asks before the launcher has heard of it gets an error.
    std::string reply;
    EXPECT_TRUE(eventually([&] {
        reply = ask("/bin/sh", words(rules, "one"), kCapture);
        return desc_of(reply).empty();
    }));
    EXPECT_EQ(end_of(result_of(reply).at("pid").as_int64()).at("exitcode").as_int64(), 6);
}

TEST_F(Exec, OldestOfTooManyResultsIsDroppedAndWrittenDown) {
    const std::string rules = rule("one", "exit 0", "concurrent = 32");
    serve(rules);
    std::vector<std::int64_t> pids;
    for (std::size_t count = 1; count <= 40; ++count) {
        pids.push_back(start(rules, "one"));
        ASSERT_TRUE(eventually([&] { return agent_->count_audit("what", "program-ended") == count; }));
    }
    EXPECT_EQ(agent_->count_audit("what", "program-result-dropped"), 8U);
    EXPECT_EQ(status(pids[7]), error_line("PID " + std::to_string(pids[7]) + " does not exist"));
    EXPECT_EQ(json::serialize(end_of(pids[8])), R"({"exitcode":0,"exited":true})");
}

TEST_F(Exec, OldestOfTooMuchOutputIsDroppedAndWrittenDown) {
    const std::string rules = rule("big", "head -c 16777216 /dev/zero", "output = \"16MiB\"");
    serve(rules);
    std::vector<std::int64_t> pids;
    for (std::size_t count = 1; count <= 5; ++count) {
        pids.push_back(start(rules, "big"));
        ASSERT_TRUE(eventually([&] { return agent_->count_audit("what", "program-ended") == count; }));
    }
    EXPECT_EQ(agent_->count_audit("what", "program-result-dropped"), 1U) << "four times 16 MiB are kept";
    EXPECT_EQ(status(pids[0]), error_line("PID " + std::to_string(pids[0]) + " does not exist"));
    EXPECT_EQ(out(end_of(pids[1])).size(), 16U << 20U);
}

TEST_F(Exec, NumbersAreNotUsedAgainNotEvenByTheNextAgent) {
    const std::string rules = rule("one", "exit 0");
    serve(rules);
    const auto first = start(rules, "one");
    agent_->stop();
    agent_->restart();
    host_.emplace(agent_->connect());
    EXPECT_EQ(status(first), error_line("PID " + std::to_string(first) + " does not exist"));
    EXPECT_GT(start(rules, "one"), first);
}

TEST_F(Exec, ConfinementIsThatOfTheRule) {
    std::filesystem::create_directory(folder_.path("may"));
    const std::string look =
        "grep -E 'NoNewPrivs|CapEff' /proc/self/status; grep -c : /proc/net/dev; touch " +
        folder_.path("no") + " 2>/dev/null; touch " + folder_.path("may/yes") +
        "; echo x > /dev/null; ulimit -v; ulimit -p";
    const std::string rules = rule("tight", look,
                                   "confine = { network = false, no_new_privileges = true, write = [\"" +
                                       folder_.path("may") + "\"], memory = \"64MiB\" }") +
                              rule("tasks", "ulimit -p", "run_as = \"backup\"\nconfine = { tasks = 17 }");
    serve(rules);
    const auto ended = run(rules, "tight");
    EXPECT_TRUE(out(ended).starts_with("CapEff:\t0000000000000000\nNoNewPrivs:\t1\n1\n65536\n"))
        << out(ended);
    EXPECT_FALSE(ended.contains("err-data"));
    EXPECT_FALSE(std::filesystem::exists(folder_.path("no")));
    EXPECT_TRUE(std::filesystem::exists(folder_.path("may/yes")));
    EXPECT_EQ(out(run(rules, "tasks")), "17\n");
}

TEST_F(Exec, WithoutConfinementNothingOfTheAgentsOwnIsInherited) {
    const std::string rules =
        rule("loose", "grep -E 'NoNewPrivs|Seccomp:|SigBlk|SigIgn|CapEff' /proc/self/status; touch " +
                          folder_.path("yes"));
    serve(rules);
    const std::string seen = out(run(rules, "loose"));
    EXPECT_TRUE(seen.starts_with("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n")) << seen;
    EXPECT_TRUE(seen.ends_with("NoNewPrivs:\t0\nSeccomp:\t0\n")) << seen;
    EXPECT_EQ(seen.find("CapEff:\t0000000000000000"), std::string::npos);
    EXPECT_TRUE(std::filesystem::exists(folder_.path("yes")));
}

TEST_F(Exec, InputAndValuesOfTheEnvironmentAreInNoLog) {
    const std::string rules = rule("cat", "cat; echo $GIVEN", "input = \"1KiB\"\nhost_env = [\"GIVEN\"]");
    serve(rules);
    const auto ended =
        run(rules, "cat",
            kCapture + ",\"input-data\":\"" + base64("swordfish") + "\",\"env\":[\"GIVEN=mellon\"]");
    EXPECT_EQ(out(ended), "swordfishmellon\n");
    ask("/bin/sh", "[]", R"(,"env":["GIVEN=x","valar"])");  // what has no name may be a value
    const std::string log = read_file(agent_->audit_file()) + agent_->messages();
    EXPECT_EQ(log.find("swordfish"), std::string::npos);
    EXPECT_EQ(log.find("mellon"), std::string::npos);
    EXPECT_EQ(log.find("valar"), std::string::npos);
    EXPECT_EQ(log.find(base64("swordfish")), std::string::npos);
    EXPECT_NE(log.find(R"("env":"GIVEN","input":9)"), std::string::npos) << log;
}

TEST_F(Exec, RequestIsInTheLogBeforeTheProgramRuns) {
    const std::string rules = rule("look", "cat \"$SALLYPORT_LOG\"; ", "host_env = [\"SALLYPORT_LOG\"]");
    serve(rules);
    // The recorder writes a moment later; the program reads until its own line is there.
    const std::string waits =
        rule("waits", "until grep -q '\"rule\":\"waits\"' \"$L\"; do :; done; grep -c guest-exec \"$L\"",
             "host_env = [\"L\"]");
    agent_->stop();
    serve(waits);
    const auto ended = run(waits, "waits", kCapture + ",\"env\":[\"L=" + agent_->state() + "/audit.jsonl\"]");
    EXPECT_EQ(ended.at("exitcode").as_int64(), 0);
}

TEST_F(Exec, ProgramsThatAreMissingOrUnsafeAreNotStarted) {
    const std::string program = folder_.path("program");
    const std::string rules = "[[allow]]\nid = \"p\"\ncommands = [\"@exec\"]\n[[allow.exec]]\nprogram = \"" +
                              program + "\"\nargs = []\nrun_as = \"root\"\n";
    serve(rules);
    const std::string failed = "Failed to execute child process \u201C" + program + "\u201D";
    EXPECT_EQ(desc_of(ask(program, "[]")), failed + " (No such file or directory)");
    const auto put = [&](std::string_view text, mode_t mode) {
        std::FILE* file = std::fopen(program.c_str(), "we");
        std::fwrite(text.data(), 1, text.size(), file);
        std::fclose(file);
        ::chmod(program.c_str(), mode);
    };
    put("echo plain", 0644);
    EXPECT_EQ(desc_of(ask(program, "[]")), failed + " (Permission denied)");
    put("echo plain", 0775);
    EXPECT_EQ(desc_of(ask(program, "[]")), failed + " (Permission denied)") << "others could have written it";
    put("echo plain", 0755);
    EXPECT_EQ(out(end_of(result_of(ask(program, "[]", kCapture)).at("pid").as_int64())), "plain\n")
        << "the shell's";
    put("#!/bin/sh\necho \"$0\"", 0755);
    EXPECT_EQ(out(end_of(result_of(ask(program, "[]", kCapture)).at("pid").as_int64())), program + "\n");
    EXPECT_EQ(agent_->count_audit("what", "program-not-started"), 3U);
}

TEST_F(Exec, UnsafeProgramStopsTheStart) {
    const std::string program = folder_.path("program");
    std::filesystem::copy_file("/bin/true", program);
    ASSERT_EQ(::chmod(program.c_str(), 0757), 0);
    Agent agent(
        {.policy = "schema = 1\n[[allow]]\nid = \"p\"\ncommands = [\"@exec\"]\n[[allow.exec]]\nprogram = \"" +
                   program + "\"\nargs = []\nrun_as = \"root\"\n"});
    EXPECT_FALSE(agent.is_serving());
    EXPECT_NE(agent.messages().find("can be written by others"), std::string::npos) << agent.messages();
}

}  // namespace
}  // namespace sallyport::test
