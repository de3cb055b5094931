// The recorder: what it holds, its files, and that no line is lost whichever process is killed.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include <filesystem>
#include <fstream>
#include <optional>
#include <ostream>
#include <set>

#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/process.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPolicy = R"(schema = 1
audit = { max_size = "256KiB", keep = 50 }
[[allow]]
id = "look"
why = "something to be asked for often"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read"] }]
)";

AgentOptions options() {
    return {.policy = kPolicy,
            .prepare = [](const Scratch& scratch) { scratch.write("work/file", "contents"); }};
}

// Allowed, recorded, and it reads something.
constexpr const char* kRead = R"({"handle":1000,"count":1})";
std::string open_request(const Agent& agent) {
    return command("guest-file-open", members({{"path", in_quotes(agent.scratch().path("work/file"))}}));
}
std::string read_requests(int count) {
    std::string all;
    for (int at = 0; at < count; ++at) all += command("guest-file-read", kRead);
    return all;
}

// Every line of the log, over its files, oldest first.
std::vector<std::string> all_lines(const Agent& agent) {
    const std::string file = agent.audit_file();
    std::vector<std::string> lines;
    for (int number = 60; number >= 0; --number)
        for (std::string& line : audit_lines(number == 0 ? file : file + "." + std::to_string(number)))
            lines.push_back(std::move(line));
    return lines;
}

// That the chain holds, and that the numbers of the last run have no gap; how many lines that run has.
std::int64_t expect_whole(const std::vector<std::string>& lines) {
    EXPECT_EQ(first_broken_link(lines), -1);
    std::int64_t last = 0;
    for (const std::string& line : lines) {
        if (line.find("\"seq\":") == std::string::npos) continue;  // the last line of a file
        const std::int64_t seq = std::stoll(line.substr(line.find("\"seq\":") + 6));
        EXPECT_TRUE(seq == last + 1 || seq == 1) << line;
        last = seq;
    }
    return last;
}

std::int64_t count_lines(const std::vector<std::string>& lines, std::string_view part) {
    return std::ranges::count_if(
        lines, [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

class Recorder : public testing::Test {
protected:
    Recorder() : host_(agent_.connect()) { EXPECT_EQ(host_.ask(open_request(agent_)), "{\"return\": 1000}"); }
    void read(int count) {
        host_.send(read_requests(count));
        for (int at = 0; at < count; ++at) ASSERT_EQ(desc_of(host_.line()), "");
    }
    pid_t writer() { return writer_of(agent_.state()); }
    pid_t keeper() { return keeper_of(agent_.state()); }
    Agent agent_{options()};
    HostClient host_;
};

TEST_F(Recorder, HoldsNoCapabilityAndNothingButTheLog) {
    for (const pid_t process : {writer(), keeper()}) {
        ASSERT_NE(process, -1);
        for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
            EXPECT_EQ(status_field(process, set), "0000000000000000") << set;
        EXPECT_EQ(status_field(process, "NoNewPrivs"), "1");
        EXPECT_EQ(status_field(process, "Seccomp"), "2");
        for (const std::string& link : list_descriptors(process)) {
            const bool is_known = link == agent_.state() || link == agent_.state() + "/audit.jsonl" ||
                                  link == agent_.state() + "/audit.lock" ||
                                  link == agent_.state() + "/sallyport.clock" ||
                                  link == agent_.state() + "/sallyport.budgets" ||
                                  link.starts_with("socket:") || link.starts_with("/memfd:sallyport-log") ||
                                  link.find("/dev/null") == 0 || link.ends_with("/messages");
            EXPECT_TRUE(is_known) << link;
        }
    }
}

// Every process of the agent runs.
constexpr const char* kEverything = R"(schema = 1
[[allow]]
id = "all"
commands = ["@file", "@freeze", "@inspect", "@power"]
files = [{ under = "$D/work", access = ["read", "write"] }]
freeze = { mounts = ["/nonexistent"] }
modes = ["powerdown"]
)";

TEST(RecorderOfAnyPolicy, IsTheOnlyOneWithADescriptorOfTheLog) {
    Agent agent(
        {.policy = kEverything, .prepare = [](const Scratch& scratch) { scratch.make_folder("work"); }});
    HostClient host = agent.connect();
    ASSERT_EQ(host.ask(command("guest-fsfreeze-status")), "{\"return\": \"thawed\"}");
    EXPECT_EQ(host.ask(command("guest-get-time")).find("error"), std::string::npos);
    const auto recorders = recorders_of(agent.state());
    EXPECT_EQ(recorders.size(), 2U);
    std::set<std::string> names;
    for (const pid_t process : agent.processes()) {
        if (std::ranges::find(recorders, process) != recorders.end()) continue;
        names.insert(name_of(process));
        for (const std::string& link : list_descriptors(process)) {
            EXPECT_EQ(link.find("audit.jsonl"), std::string::npos) << name_of(process);
            EXPECT_NE(link, agent.state()) << name_of(process);
        }
    }
    for (const char* name :
         {"sallyport-broker", "sallyport-guard", "sallyport-launcher", "sallyport-inspector",
          "sallyport-files", "sallyport-nursery", "sallyport-worker"})
        EXPECT_TRUE(names.contains(name)) << name;
}

TEST_F(Recorder, RotatesBySizeAndTheChainGoesOnOverTheFiles) {
    for (int round = 0; round < 20; ++round) read(200);
    const auto lines = all_lines(agent_);
    EXPECT_TRUE(fs::exists(agent_.audit_file() + ".2"));
    for (const auto& entry : fs::directory_iterator(agent_.state()))
        EXPECT_LE(fs::file_size(entry.path()), std::size_t{256} << 10U) << entry.path();
    EXPECT_EQ(count_lines(lines, "guest-file-read"), 4000);
    expect_whole(lines);
}

TEST_F(Recorder, GoesOnInANewFileAfterARenameAndSighup) {
    read(10);
    const std::string file = agent_.audit_file();
    fs::rename(file, file + ".1");
    read(10);  // into the renamed file
    agent_.broker().signal(SIGHUP);
    EXPECT_TRUE(eventually([&] { return fs::exists(file); }));
    read(10);
    EXPECT_FALSE(agent_.broker().has_ended());
    const auto lines = all_lines(agent_);
    EXPECT_EQ(count_lines(lines, "guest-file-read"), 30);
    EXPECT_EQ(count_lines(audit_lines(file), "guest-file-read"), 10);
    expect_whole(lines);
}

TEST_F(Recorder, WhoseFileIsRemovedGoesOnInANewOneThatSaysSo) {
    read(10);
    const auto removed = audit_lines(agent_.audit_file());
    fs::remove(agent_.audit_file());
    read(10);  // nobody has told it
    const auto lines = audit_lines(agent_.audit_file());
    EXPECT_EQ(count_lines(lines, "guest-file-read"), 10);
    ASSERT_EQ(count_lines(lines, "log-removed"), 1);
    EXPECT_EQ(lines.front().find(R"({"verdict":"note","what":"log-removed","prev":")" +
                                 hash_of_line(removed.back())),
              0U);
    EXPECT_EQ(first_broken_link(lines), -1);
}

TEST_F(Recorder, GoesOnWithItsChainWhenTheLogIsCopiedAndTruncated) {
    read(10);
    auto lines = audit_lines(agent_.audit_file());
    fs::resize_file(agent_.audit_file(), 0);
    read(10);
    for (const std::string& line : audit_lines(agent_.audit_file())) lines.push_back(line);
    EXPECT_EQ(count_lines(lines, "guest-file-read"), 20);
    expect_whole(lines);
}

TEST_F(Recorder, IsNotEndedBySignalsAndTheAgentNotBySighup) {
    for (const pid_t process : recorders_of(agent_.state()))
        for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE})
            send_signal(process, number);
    agent_.broker().signal(SIGHUP);
    read(10);
    EXPECT_EQ(recorders_of(agent_.state()).size(), 2U);
    EXPECT_FALSE(agent_.broker().has_ended());
    expect_whole(all_lines(agent_));
}

// One of the recorder's processes is killed again and again while a host reads as fast as it can.
TEST_F(Recorder, WhoseWriterIsKilledUnderLoadLosesNoLineAndWritesNoneTwice) {
    for (int round = 0; round < 20; ++round) {
        host_.send(read_requests(200));
        ASSERT_TRUE(send_signal(writer(), SIGKILL));
        for (int at = 0; at < 200; ++at) ASSERT_EQ(desc_of(host_.line()), "");
    }
    const auto lines = all_lines(agent_);
    EXPECT_EQ(count_lines(lines, "guest-file-read"), 4000);
    expect_whole(lines);
}

TEST_F(Recorder, WhoseKeeperIsKilledUnderLoadLosesNoLineAndHasAnother) {
    for (int round = 0; round < 20; ++round) {
        host_.send(read_requests(200));
        ASSERT_TRUE(send_signal(keeper(), SIGKILL));
        for (int at = 0; at < 200; ++at) ASSERT_EQ(desc_of(host_.line()), "");
    }
    EXPECT_TRUE(eventually([&] { return recorders_of(agent_.state()).size() == 2; }));
    const auto lines = all_lines(agent_);
    EXPECT_EQ(count_lines(lines, "guest-file-read"), 4000);
    expect_whole(lines);
}

TEST_F(Recorder, WhoseBrokerIsKilledUnderLoadWritesEveryLineOfAnAnsweredRequestAndEnds) {
    host_.send(read_requests(2000));
    int answered = 0;
    while (answered < 700 && desc_of(host_.line()).empty()) ++answered;
    agent_.broker().signal(SIGKILL);
    EXPECT_EQ(agent_.broker().wait(), -SIGKILL);
    try {
        for (;;) answered += desc_of(host_.line()).empty() ? 1 : 0;
    } catch (const std::runtime_error&) {  // the channel has ended
    }
    EXPECT_TRUE(eventually([&] { return recorders_of(agent_.state()).empty(); }));
    const auto lines = all_lines(agent_);
    EXPECT_GE(count_lines(lines, "guest-file-read"), answered);
    expect_whole(lines);
}

TEST_F(Recorder, WhoseWorkerIsKilledUnderLoadLosesNoLine) {
    host_.send(read_requests(500));
    int answered = 0;
    while (answered < 200 && desc_of(host_.line()).empty()) ++answered;
    send_signal(agent_.worker(), SIGKILL);
    host_ = agent_.connect();
    read(10);
    const auto lines = all_lines(agent_);
    EXPECT_GE(count_lines(lines, "guest-file-read"), answered + 10);
    expect_whole(lines);
}

TEST_F(Recorder, ThatIsGoneAltogetherEndsTheAgent) {
    const std::vector<pid_t> both{writer(), keeper()};
    for (const pid_t process : both) send_signal(process, SIGSTOP);
    for (const pid_t process : both) send_signal(process, SIGKILL);
    EXPECT_EQ(agent_.broker().wait(), 1);
    EXPECT_NE(agent_.messages().find("the recorder of the audit log is lost"), std::string::npos);
}

TEST_F(Recorder, WritesWhatItWasGivenBeforeTheBrokerEnded) {
    const pid_t stopped = writer();
    send_signal(stopped, SIGSTOP);
    read(100);
    agent_.broker().signal(SIGTERM);
    EXPECT_EQ(agent_.broker().wait(), 0);
    send_signal(stopped, SIGCONT);
    EXPECT_TRUE(eventually([&] { return recorders_of(agent_.state()).empty(); }));
    const auto lines = all_lines(agent_);
    EXPECT_EQ(count_lines(lines, "guest-file-read"), 100);
    EXPECT_NE(lines.back().find("\"what\":\"stop\""), std::string::npos);
    expect_whole(lines);
}

TEST_F(Recorder, EndsWithTheAgentAlsoIfItsDirectoryIsRemoved) {
    const auto both = recorders_of(agent_.state());
    ASSERT_EQ(both.size(), 2U);
    for (const pid_t process : both) send_signal(process, SIGSTOP);
    read(10);
    agent_.broker().signal(SIGKILL);
    EXPECT_EQ(agent_.broker().wait(), -SIGKILL);
    fs::remove_all(agent_.state());
    for (const pid_t process : both) send_signal(process, SIGCONT);
    for (const pid_t process : both) EXPECT_TRUE(eventually([process] { return !is_running(process); }));
}

TEST_F(Recorder, OfAnEarlierAgentFinishesBeforeTheNextBegins) {
    const pid_t stopped = writer();
    send_signal(stopped, SIGSTOP);
    read(100);
    agent_.broker().signal(SIGKILL);
    EXPECT_EQ(agent_.broker().wait(), -SIGKILL);
    agent_.restart();
    EXPECT_FALSE(agent_.is_notified("READY=1", milliseconds(500))) << "two write the same chain";
    send_signal(stopped, SIGCONT);
    ASSERT_TRUE(agent_.is_serving());
    const auto lines = all_lines(agent_);
    EXPECT_EQ(count_lines(lines, "guest-file-read"), 100);
    expect_whole(lines);
}

TEST(StateDirectory, ThatOthersMayEnterIsInTheLog) {
    Agent agent(options());
    ASSERT_TRUE(agent.is_serving());
    EXPECT_EQ(agent.count_audit("what", "state-directory-open"), 0U);
    std::size_t times = 0;
    for (const unsigned more : {040U, 010U, 004U, 001U}) {
        agent.stop();
        fs::permissions(agent.state(), fs::perms{0700U | more});
        agent.restart();
        ASSERT_TRUE(agent.is_serving());
        EXPECT_EQ(agent.count_audit("what", "state-directory-open"), ++times) << more;
    }
}

// A local user may lock whatever he may open, if only to read.
class ALocalUser : public testing::Test {
protected:
    ALocalUser() {
        EXPECT_TRUE(agent_.is_serving());
        agent_.stop();
        fs::permissions(agent_.state(), fs::perms{0755});
    }
    /// He keeps his locks until the test ends. How many files he could lock.
    int lock_all() {
        std::array<int, 2> locked{};
        EXPECT_EQ(::pipe2(locked.data(), O_CLOEXEC), 0);
        const UniqueFd read_end(locked[0]), write_end(locked[1]);
        user_.emplace([&] {
            if (::setgroups(0, nullptr) != 0 || ::setresuid(12346, 12346, 12346) != 0) return 1;
            if (::flock(::open(agent_.state().c_str(), O_RDONLY | O_CLOEXEC), LOCK_EX | LOCK_NB) != 0)
                return 2;
            char count = 0;
            for (const auto& entry : fs::directory_iterator(agent_.state())) {
                const int fd = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
                if (fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) != 0) return 3;
                if (fd >= 0) ++count;
            }
            if (::write(write_end.get(), &count, 1) != 1) return 4;
            ::pause();
            return 0;
        });
        char count = -1;
        EXPECT_TRUE(wait_for(read_end.get(), POLLIN, Deadline()));
        EXPECT_EQ(::read(read_end.get(), &count, 1), 1);
        return count;
    }
    void open_to_all(const std::string& name) {
        fs::permissions(agent_.state() + "/" + name, fs::perms{0644});
    }
    /// The start fails, and says this.
    void expect_no_start(const std::string& said) {
        agent_.restart();
        EXPECT_EQ(agent_.broker().wait(), 1);
        EXPECT_NE(agent_.messages().find(said), std::string::npos) << agent_.messages();
    }
    Agent agent_{options()};
    std::optional<Child> user_;
};

TEST_F(ALocalUser, WhoLocksAllThatHeMayOpenOfTheStateDirectoryStopsNoStart) {
    lock_all();
    agent_.restart();
    EXPECT_TRUE(agent_.is_serving()) << agent_.messages();
}

// As after a backup was put back.
TEST_F(ALocalUser, CanOpenNoFileThatIsLockedOnceAnAgentHasStarted) {
    for (const char* name : {"audit.lock", "sallyport.state"}) open_to_all(name);
    agent_.restart();
    ASSERT_TRUE(agent_.is_serving()) << agent_.messages();
    agent_.stop();
    EXPECT_EQ(lock_all(), 0);
    agent_.restart();
    EXPECT_TRUE(agent_.is_serving()) << agent_.messages();
}

TEST_F(ALocalUser, WhoHadLockedTheStateBeforeItWasClosedToHimIsToldOf) {
    open_to_all("sallyport.state");
    EXPECT_EQ(lock_all(), 1);
    expect_no_start("somebody who could open sallyport.state has locked it: `fuser -v sallyport.state`");
    user_.reset();
    agent_.restart();
    EXPECT_TRUE(agent_.is_serving()) << agent_.messages();
}

TEST_F(ALocalUser, WhoHadLockedTheLogBeforeItWasClosedToHimIsToldOf) {
    open_to_all("audit.lock");
    EXPECT_EQ(lock_all(), 1);
    agent_.restart();
    EXPECT_TRUE(agent_.is_serving());
    EXPECT_NE(
        agent_.messages().find("somebody who could open audit.lock has locked it: `fuser -v audit.lock`"),
        std::string::npos)
        << agent_.messages();
}

}  // namespace
}  // namespace sallyport::test
