// What cannot be recorded is refused; who floods the log is counted.
#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <sstream>
#include <vector>

#include "ipc/limits.hpp"
#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/process.hpp"

namespace sallyport::test {
namespace {

constexpr const char* kUnrecorded = "failed to read file: the guest's audit log cannot be written";
const std::string kPong = "{\"return\": {}}";

std::string policy(std::string_view audit = "") {
    return "schema = 1\n" + std::string(audit) + R"(
[[allow]]
id = "work"
why = "a folder to work in"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read", "write", "create"] }]
)";
}

void make_file(const Scratch& scratch) {
    scratch.write("work/file", std::string(100'000, 'x'));
}

std::string open_request(const Agent& agent, const std::string& mode = "r+") {
    return command("guest-file-open", members({{"path", in_quotes(agent.scratch().path("work/file"))},
                                               {"mode", in_quotes(mode)}}));
}
std::string read_request() {
    return command("guest-file-read", R"({"handle":1000,"count":1})");
}

// Asks until the answer is `desc`; how many were answered otherwise.
int ask_until(HostClient& host, const std::string& request, const std::string& desc) {
    int before = 0;
    EXPECT_TRUE(eventually([&] {
        const bool is_it = desc_of(host.ask(request)) == desc;
        if (!is_it) ++before;
        return is_it;
    })) << request;
    return before;
}

void expect_floor(HostClient& host) {
    EXPECT_EQ(host.ask(command("guest-ping")), kPong);
    EXPECT_EQ(host.ask(command("guest-fsfreeze-status")), "{\"return\": \"thawed\"}");
    EXPECT_EQ(host.ask(command("guest-fsfreeze-thaw")), "{\"return\": 0}");
}

void expect_all_read(const Agent& agent, std::size_t reads) {
    EXPECT_EQ(first_broken_link(audit_lines(agent.audit_file())), -1);
    std::size_t recorded = 0;
    for (const auto& record : agent.audit())
        if (text_of(record, "what") == "guest-file-read" && text_of(record, "verdict") == "allow") ++recorded;
    EXPECT_EQ(recorded, reads);
}

// A state folder on a small file system of its own, for as long as this lives.
class SmallState {
public:
    explicit SmallState(std::string_view audit)
        : agent_({.policy = policy(audit), .prepare = [](const Scratch& scratch) {
                      make_file(scratch);
                      EXPECT_EQ(
                          ::mount("small", scratch.path("state").c_str(), "tmpfs", 0, "size=3m,mode=0700"),
                          0);
                  }}) {}
    SmallState(const SmallState&) = delete;
    SmallState& operator=(const SmallState&) = delete;
    ~SmallState() {
        agent_.stop();
        EXPECT_EQ(::umount2(agent_.state().c_str(), 0), 0);
    }
    Agent& agent() { return agent_; }
    void fill() {
        Child filler([&] {
            std::FILE* file = std::fopen((agent_.state() + "/fill").c_str(), "w");
            while (std::fputs("full", file) >= 0 && std::fflush(file) == 0) {
            }
            return 0;
        });
        filler.wait();
    }
    void empty() { std::filesystem::remove(agent_.state() + "/fill"); }

private:
    Agent agent_;
};

TEST(FullDiskOfTheLog, RefusesWhatCannotBeRecordedUntilThereIsRoomAndLosesNoLine) {
    SmallState small("");
    HostClient host = small.agent().connect();
    EXPECT_EQ(host.ask(open_request(small.agent())), "{\"return\": 1000}");
    small.fill();
    const int answered = ask_until(host, read_request(), kUnrecorded);
    EXPECT_GT(answered, 0);
    expect_floor(host);
    EXPECT_EQ(class_of(host.ask(open_request(small.agent()))), "GenericError");
    small.empty();
    int again = 0;
    EXPECT_TRUE(eventually([&] { return desc_of(host.ask(read_request())).empty() && ++again > 0; }));
    expect_all_read(small.agent(), static_cast<std::size_t>(answered + again));
    EXPECT_GT(small.agent().count_audit("reason", "the audit log takes nothing"), 0U);
}

TEST(FullDiskOfTheLog, ChangesNothingIfThePolicySaysGoOn) {
    SmallState small("audit = { on_loss = \"go on\" }");
    HostClient host = small.agent().connect();
    EXPECT_EQ(host.ask(open_request(small.agent())), "{\"return\": 1000}");
    small.fill();
    // More lines than wait in memory.
    for (int at = 0; at < 6000; ++at) ASSERT_EQ(desc_of(host.ask(read_request())), "");
    small.empty();
    EXPECT_TRUE(eventually([&] {
        host.ask(read_request());
        return read_file(small.agent().audit_file()).find("\"lost\":") != std::string::npos;
    }));
    EXPECT_EQ(first_broken_link(audit_lines(small.agent().audit_file())), -1);
}

// The recorder of the killed agent has lines that nothing takes: it lets them go, since the policy says so.
TEST(FullDiskOfTheLog, StopsNoStartAfterAKillIfThePolicySaysGoOn) {
    SmallState small("audit = { on_loss = \"go on\" }");
    HostClient host = small.agent().connect();
    EXPECT_EQ(host.ask(open_request(small.agent())), "{\"return\": 1000}");
    small.fill();
    for (int at = 0; at < 6000; ++at) ASSERT_EQ(desc_of(host.ask(read_request())), "");
    small.agent().broker().signal(SIGKILL);
    EXPECT_EQ(small.agent().broker().wait(), -SIGKILL);
    small.agent().restart();
    ASSERT_TRUE(small.agent().is_serving()) << small.agent().messages();
    HostClient next = small.agent().connect();
    expect_floor(next);
    EXPECT_EQ(next.ask(open_request(small.agent())),
              "{\"return\": " + std::to_string(kFirstHandle + kHandlesPerRun) + "}");
}

// As long as a disk that hangs.
TEST(RecorderThatHangs, RefusesWhatCannotBeRecordedAndLosesNoLine) {
    Agent agent({.policy = policy(), .prepare = make_file});
    HostClient host = agent.connect();
    EXPECT_EQ(host.ask(open_request(agent)), "{\"return\": 1000}");
    const auto both = recorders_of(agent.state());
    ASSERT_EQ(both.size(), 2U);
    for (const pid_t process : both) send_signal(process, SIGSTOP);
    const int answered = ask_until(host, read_request(), kUnrecorded);
    expect_floor(host);
    for (const pid_t process : both) send_signal(process, SIGCONT);
    EXPECT_LT(std::filesystem::file_size(agent.audit_file()), kLogRing / 2)
        << "it waited until there was no room";
    int again = 0;
    EXPECT_TRUE(eventually([&] { return desc_of(host.ask(read_request())).empty() && ++again > 0; }));
    expect_all_read(agent, static_cast<std::size_t>(answered + again));
}

// RLIMIT_FSIZE of whoever started the agent.
class LimitedFiles : public testing::Test {
protected:
    LimitedFiles() {
        rlimit before{};
        ::getrlimit(RLIMIT_FSIZE, &before);
        const rlimit little{.rlim_cur = kLimit, .rlim_max = before.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &little);
        agent_.emplace(AgentOptions{.policy = policy(), .prepare = [](const Scratch& scratch) {
                                        make_file(scratch);
                                        std::filesystem::resize_file(scratch.path("work/file"), kLimit);
                                    }});
        ::setrlimit(RLIMIT_FSIZE, &before);
    }
    static constexpr rlim_t kLimit =
        1'300'000;  // the memory that processes share is a file to the kernel, too
    std::optional<Agent> agent_;
};

TEST_F(LimitedFiles, AreAnErrorToTheHostWhoWritesAndNotTheEnd) {
    HostClient host = agent_->connect();
    EXPECT_EQ(host.ask(open_request(*agent_, "a")), "{\"return\": 1000}");
    EXPECT_EQ(desc_of(host.ask(command("guest-file-write", R"({"handle":1000,"buf-b64":"aGVsbG8="})"))),
              "failed to write to file: File too large");
    EXPECT_EQ(host.ask(command("guest-ping")), kPong);
}

TEST_F(LimitedFiles, PartOfAWriteThatFailsIsInTheLog) {
    std::filesystem::resize_file(agent_->scratch().path("work/file"), kLimit - 2);
    HostClient host = agent_->connect();
    EXPECT_EQ(host.ask(open_request(*agent_, "a")), "{\"return\": 1000}");
    host.ask(command("guest-file-write", R"({"handle":1000,"buf-b64":"aGVsbG8="})"));
    const auto record = agent_->audit().back();
    EXPECT_EQ(text_of(record, "verdict"), "fail");
    EXPECT_EQ(text_of(record, "bytes"), "2");
}

TEST_F(LimitedFiles, OfTheLogAreLossAndNotTheEnd) {
    HostClient host = agent_->connect();
    EXPECT_EQ(host.ask(open_request(*agent_)), "{\"return\": 1000}");
    std::string many;
    for (int at = 0; at < 500; ++at) many += read_request();
    while (std::filesystem::file_size(agent_->audit_file()) < kLimit) {
        host.send(many);
        for (int at = 0; at < 500; ++at) host.line();
    }
    ask_until(host, read_request(), kUnrecorded);
    expect_floor(host);
    EXPECT_EQ(recorders_of(agent_->state()).size(), 2U);
}

TEST(Flood, OfRefusalsIsCountedInsteadOfWritten) {
    Agent agent({});
    HostClient host = agent.connect();
    for (int at = 0; at < 3000; ++at) host.ask(command("guest-get-users"));
    agent.stop();
    EXPECT_LE(agent.count_audit("what", "guest-get-users"), 70U);
    EXPECT_NE(text_of(agent.audit().back(), "unwritten").find("guest-get-users"), std::string::npos);
    EXPECT_EQ(first_broken_link(audit_lines(agent.audit_file())), -1);
    std::size_t in_journal = 0;
    std::istringstream messages(agent.messages());
    for (std::string line; std::getline(messages, line);)
        if (line.find("guest-get-users\",\"reason") != std::string::npos) ++in_journal;
    EXPECT_GE(in_journal, 1U);
    EXPECT_LE(in_journal, 6U);
}

// Nobody but root may connect; this child is not root.
std::unique_ptr<Child> connect_as_stranger(const std::string& path, int times) {
    return std::make_unique<Child>([path, times] {
        if (::setgroups(0, nullptr) != 0 || ::setresuid(12346, 12346, 12346) != 0) return 1;
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        std::memcpy(address.sun_path, path.data(), path.size());
        std::vector<UniqueFd> open;
        for (int at = 0; at < times; ++at) {
            open.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
            if (::connect(open.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
                0)
                return 2;
            if (open.size() > 100) open.clear();
        }
        return 0;
    });
}

TEST(Flood, OfStrangersCostsOneLine) {
    Agent agent({.policy = "schema = 1\npeers = { uids = [12345] }\n"});
    ASSERT_TRUE(agent.is_serving());
    EXPECT_EQ(connect_as_stranger(agent.socket(), 2000)->wait(), 0);
    EXPECT_EQ(HostClient(agent.socket()).ask(command("guest-ping")), kPong);
    agent.stop();
    EXPECT_LE(agent.count_audit("what", "connect-refused"), 2U);
    EXPECT_NE(read_file(agent.audit_file()).find("\"unwritten\":{\"connect-refused\":"), std::string::npos);
}

TEST(Flood, OfStrangersLeavesThePlacesToThoseWhoMayConnect) {
    Agent agent({.policy = "schema = 1\npeers = { uids = [12345] }\n"});
    HostClient served = agent.connect();
    EXPECT_EQ(served.ask(command("guest-ping")), kPong);
    // More than wait in a backlog; none of them waits to be let in.
    EXPECT_EQ(connect_as_stranger(agent.socket(), 50)->wait(), 0);
    auto next = std::make_unique<HostClient>(agent.socket());
    next->send(command("guest-ping"));
    EXPECT_EQ(served.ask(command("guest-ping")), kPong);
    served = HostClient(UniqueFd());
    EXPECT_EQ(next->line(), kPong);
}

TEST(Flood, OfALongPathIsInTheJournalToo) {
    Agent agent({.policy = policy(), .prepare = make_file});
    HostClient host = agent.connect();
    std::string path = "/etc";
    while (path.size() < 4000) path += "/.";
    host.ask(command("guest-file-open", members({{"path", in_quotes(path + "/shadow")}})));
    EXPECT_NE(
        agent.messages().find("\"what\":\"guest-file-open\",\"shortened\":\"{\\\"path\\\":\\\"/etc/./."),
        std::string::npos);
}

TEST(Journal, HasNoReadAndNoPoll) {
    Agent agent({.policy = policy() + "[[allow]]\nid = \"load\"\ncommands = [\"guest-get-load\"]\n",
                 .prepare = make_file});
    HostClient host = agent.connect();
    EXPECT_EQ(host.ask(open_request(agent)), "{\"return\": 1000}");
    for (int at = 0; at < 10; ++at) {
        host.ask(read_request());
        host.ask(command("guest-get-load"));
    }
    EXPECT_EQ(agent.messages().find("guest-file"), std::string::npos) << agent.messages();
    EXPECT_EQ(agent.messages().find("guest-get-load"), std::string::npos);
    EXPECT_NE(agent.messages().find("\"what\":\"start\""), std::string::npos);
    EXPECT_EQ(agent.count_audit("what", "guest-file-read"), 10U);
}

TEST(Journal, HasAllIfThePolicySaysSo) {
    Agent agent({.policy = policy("audit = { journal = \"all\" }"), .prepare = make_file});
    HostClient host = agent.connect();
    EXPECT_EQ(host.ask(open_request(agent)), "{\"return\": 1000}");
    host.ask(read_request());
    EXPECT_NE(agent.messages().find("guest-file-read"), std::string::npos) << agent.messages();
}

}  // namespace
}  // namespace sallyport::test
