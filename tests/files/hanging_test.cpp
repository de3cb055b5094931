// Files that do not answer: of a FUSE server, in a directory whose lock a local user holds. (An automounter that does not mount is a case of
// tests/vm.) The request about them ends with an error; meanwhile everything else is answered, and nothing is left behind.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <memory>

#include "ipc/limits.hpp"
#include "tests/files/fuse_server.hpp"
#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

// The deadline of an order, and some more.
constexpr milliseconds kDeadline{kFileTimeoutNs / 1'000'000 + 10'000};
constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read", "write", "create"] },
         { under = "$D/slow", access = ["read", "write", "create"] }]
[[deny]]
id = "keys"
files = [{ under = "$D/user/config/keys" }]
)";

void prepare(const Scratch& scratch) {
    scratch.write("work/file", "contents");
    scratch.make_folder("slow");
    scratch.make_folder("user/config/keys");
}

TEST(AServerOfAUser, IsNotBelievedThatAPolicyIsRoots) {
    Agent agent({.policy = kPolicy, .prepare = prepare});
    ASSERT_TRUE(agent.is_serving());
    agent.stop();
    const std::string slow = agent.scratch().path("slow");
    const FuseServer server(slow, 0);
    const Finished ended = run({.words = {build_root() + "/broker/sallyportd", "-m", "unix-listen", "-p",
                                          agent.socket(), "--policy", slow + "/file", "-t", agent.state()},
                                .environment = {"QGA_CONF=/nonexistent"},
                                .output = "",
                                .before_exec = [] {}});
    EXPECT_EQ(ended.ending, 1);
    EXPECT_NE(ended.error.find(slow + "/file (" + slow + "): lies on FUSE"), std::string::npos)
        << ended.error;
}

class Hanging : public testing::Test {
protected:
    Hanging() : agent_({.policy = kPolicy, .prepare = prepare}) {
        if (!agent_.is_serving()) throw std::runtime_error(agent_.messages());
    }

    [[nodiscard]] std::string path(const std::string& name) const { return agent_.scratch().path(name); }
    [[nodiscard]] std::string open(const std::string& name, const std::string& mode = "r") const {
        return command("guest-file-open",
                       members({{"path", in_quotes(path(name))}, {"mode", in_quotes(mode)}}));
    }
    static std::string about(const std::string& what, std::int64_t handle, const std::string& more = "") {
        return command("guest-file-" + what, "{\"handle\":" + std::to_string(handle) + more + "}");
    }
    [[nodiscard]] pid_t hand() {
        for (const pid_t child : children_of(agent_.broker().pid()))
            if (name_of(child) == "sallyport-files") return child;
        return -1;
    }
    /// What is answered, on a connection of its own, whatever hangs.
    void expect_others_are_served() const {
        HostClient host = agent_.connect();
        EXPECT_EQ(host.ask(command("guest-fsfreeze-status")), "{\"return\": \"thawed\"}");
        EXPECT_EQ(host.ask(command("guest-fsfreeze-thaw")), "{\"return\": 0}");
        EXPECT_EQ(host.ask(command("guest-ping")), "{\"return\": {}}");
        const std::int64_t handle = handle_of(host.ask(open("work/file")));
        EXPECT_NE(host.ask(about("read", handle)).find(base64("contents")), std::string::npos);
        EXPECT_EQ(host.ask(about("close", handle)), "{\"return\": {}}");
    }
    [[nodiscard]] std::size_t count_given_up() const {
        std::size_t count = 0;
        for (const auto& record : agent_.audit())
            count += text_of(record, "reason").starts_with("the file does not answer") ? 1U : 0U;
        return count;
    }
    /// That all is as if nothing had hung. An open file keeps its clerk.
    void expect_nothing_is_left(std::size_t open_files = 0) {
        const pid_t parent = hand();
        EXPECT_TRUE(eventually([&] { return children_of(parent).size() == 1 + open_files; }, kDeadline))
            << children_of(parent).size() << " clerks";
        expect_others_are_served();
        EXPECT_EQ(agent_.stop(), 0);
    }

    Agent agent_;
};

struct Wait {
    const char* name;
    std::uint32_t at;
};

class HangingAt : public Hanging, public testing::WithParamInterface<Wait> {
protected:
    /// What makes the server wait: the first request, or one about a handle.
    std::string hanging_request(HostClient& host) const {
        if (GetParam().at == FUSE_LOOKUP || GetParam().at == FUSE_OPEN || GetParam().at == FUSE_GETATTR)
            return open("slow/file");
        const std::int64_t handle = handle_of(host.ask(open("slow/file", "r+")));
        if (GetParam().at == FUSE_READ) return about("read", handle);
        if (GetParam().at == FUSE_WRITE) return about("write", handle, ",\"buf-b64\":\"YQ==\"");
        return about("close", handle);
    }
};

INSTANTIATE_TEST_SUITE_P(, HangingAt,
                         testing::Values(Wait{"Lookup", FUSE_LOOKUP}, Wait{"Open", FUSE_OPEN},
                                         Wait{"Read", FUSE_READ}, Wait{"Write", FUSE_WRITE},
                                         Wait{"Close", FUSE_FLUSH}),
                         case_name<Wait>);

TEST_P(HangingAt, EndsWithAnErrorAndHoldsUpNobody) {
    FuseServer server(path("slow"), GetParam().at);
    {
        HostClient host = agent_.connect();
        host.send(hanging_request(host));
        ASSERT_TRUE(server.is_waited_for());
        // A host that goes on: the request is given up by the worker, and what may come at any time is answered.
        host.send(command("guest-sync", R"({"id":7})"));
        host.send(command("guest-fsfreeze-status"));
        EXPECT_NE(desc_of(host.line(kDeadline)), "");
        EXPECT_EQ(host.line(), "{\"return\": 7}");
        EXPECT_EQ(host.line(), "{\"return\": \"thawed\"}");
    }
    expect_others_are_served();
    const bool outlives_its_worker = GetParam().at != FUSE_READ && GetParam().at != FUSE_WRITE;
    if (outlives_its_worker) {
        EXPECT_TRUE(eventually([&] { return count_given_up() == 1; }, kDeadline));
    }
    expect_others_are_served();
    server.release();
    expect_nothing_is_left(outlives_its_worker ? 0 : 1);
}

TEST_P(HangingAt, TellsTheHostThatWaits) {
    FuseServer server(path("slow"), GetParam().at);
    HostClient host = agent_.connect();
    const std::string request = hanging_request(host);
    EXPECT_NE(desc_of(host.ask(request, kDeadline)).find("Connection timed out"), std::string::npos);
    EXPECT_EQ(count_given_up(), 1U);
    // The clerk that kept the file is gone, and the file with it.
    if (GetParam().at == FUSE_READ) {
        EXPECT_NE(desc_of(host.ask(request)).find("has not been found"), std::string::npos);
    }
    server.release();
}

TEST_F(Hanging, AFileOfAServerThatAnswersIsUsedAsAnyOther) {
    FuseServer server(path("slow"), 0);
    HostClient host = agent_.connect();
    const std::int64_t handle = handle_of(host.ask(open("slow/file", "r+")));
    EXPECT_NE(host.ask(about("read", handle)).find(base64("contents")), std::string::npos);
    EXPECT_EQ(host.ask(about("seek", handle, ",\"offset\":4,\"whence\":0")),
              "{\"return\": {\"eof\": false, \"position\": 4}}");
    EXPECT_NE(host.ask(about("read", handle)).find(base64("ents")), std::string::npos);
    EXPECT_EQ(host.ask(about("write", handle, ",\"buf-b64\":\"YQ==\"")),
              "{\"return\": {\"count\": 1, \"eof\": false}}");
    EXPECT_EQ(host.ask(about("close", handle)), "{\"return\": {}}");
    EXPECT_NE(desc_of(host.ask(about("close", handle))), "");
    // No descriptor of it is the broker's, or anybody's.
    EXPECT_EQ(::umount2(path("slow").c_str(), 0), 0);
}

// Whoever hangs up leaves what he asked for under way.
TEST_F(Hanging, ManyAtOnceAreRefusedUntilOneHasEnded) {
    FuseServer server(path("slow"), FUSE_LOOKUP);
    for (std::size_t at = 0; at < kMaxHungClerks; ++at) {
        HostClient host = agent_.connect();
        host.send(open("slow/file"));
        ASSERT_TRUE(eventually([&] { return children_of(hand()).size() > at; }));
        // Its frame comes before the report of its end.
        host.half_close();
    }
    ASSERT_TRUE(eventually([&] { return count_given_up() == kMaxHungClerks; }, kDeadline));
    HostClient host = agent_.connect();
    EXPECT_NE(desc_of(host.ask(open("work/file"))).find("resource busy"), std::string::npos);
    EXPECT_EQ(host.ask(command("guest-fsfreeze-status")), "{\"return\": \"thawed\"}");
    server.release();
    EXPECT_TRUE(eventually([&] { return desc_of(host.ask(open("work/file"))).empty(); }));
}

// A local user makes a directory in one of his own: its lock is held until his server has answered.
TEST_F(Hanging, TheLockOfADirectoryHoldsUpNobody) {
    FuseServer server(path("slow"), FUSE_MKDIR);
    const Child user([&] { return ::mkdir(path("slow/new").c_str(), 0755); });
    ASSERT_TRUE(server.is_waited_for());
    HostClient host = agent_.connect();
    EXPECT_NE(desc_of(host.ask(open("slow/file"), kDeadline)).find("Connection timed out"),
              std::string::npos);
    EXPECT_EQ(host.ask(command("guest-fsfreeze-status")), "{\"return\": \"thawed\"}");
    EXPECT_EQ(desc_of(host.ask(open("work/file"))), "");
    server.release();
}

// What a deny rule names lies behind whoever does not answer, and something else is opened.
class DeniedAt : public HangingAt {};

INSTANTIATE_TEST_SUITE_P(, DeniedAt,
                         testing::Values(Wait{"Lookup", FUSE_LOOKUP}, Wait{"Getattr", FUSE_GETATTR},
                                         Wait{"Statfs", FUSE_STATFS}, Wait{"Access", FUSE_ACCESS}),
                         case_name<Wait>);

TEST_P(DeniedAt, AServerThatHangsIsNotAskedWhereSomethingElseIsOpened) {
    for (const char* place : {"user", "user/config"}) {
        const FuseServer server(path(place), GetParam().at);
        HostClient host = agent_.connect();
        EXPECT_EQ(desc_of(host.ask(open("work/file"))), "");
        EXPECT_EQ(desc_of(host.ask(open("work/new", "w"))), "");
        EXPECT_NE(desc_of(host.ask(open("work/none"))).find("No such file"), std::string::npos);
        EXPECT_FALSE(server.has_been_asked());
    }
    expect_nothing_is_left();
}

// The lock of the directory in which the denied name would have to be looked up.
TEST_F(Hanging, TheLockOfADirectoryOnTheWayToADeniedPathHoldsUpNobody) {
    FuseServer server(path("user"), FUSE_MKDIR);
    const Child user([&] { return ::mkdir(path("user/new").c_str(), 0755); });
    ASSERT_TRUE(server.is_waited_for());
    HostClient host = agent_.connect();
    EXPECT_EQ(desc_of(host.ask(open("work/file"))), "");
    server.release();
}

// The server is there before the agent is: on the way to what a rule allows, or to what one denies.
struct Place {
    const char* name;
    const char* mounted;
    const char* rule;  // that is not known
};

class StartBesideAServerThatHangs : public testing::TestWithParam<Place> {
protected:
    static constexpr const char* kRules = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read", "write", "create"] }]
[[allow]]
id = "theirs"
commands = ["@file"]
files = [{ under = "$D/theirs/of/a/user", access = ["read"] }]
[[deny]]
id = "keys"
files = [{ under = "$D/work/keys" }, { under = "$D/user/config/keys" }]
)";
    std::unique_ptr<FuseServer> server_;
};

INSTANTIATE_TEST_SUITE_P(, StartBesideAServerThatHangs,
                         testing::Values(Place{"Allowed", "theirs/of", "theirs"},
                                         Place{"Denied", "user/config", "keys"}),
                         case_name<Place>);

TEST_P(StartBesideAServerThatHangs, IsMadeAndSaysWhatIsNotKnown) {
    Agent agent({.policy = kRules, .prepare = [this](const Scratch& scratch) {
                     scratch.write("work/file", "contents");
                     scratch.write("work/keys/key", "key");
                     scratch.make_folder("theirs/of/a/user");
                     scratch.make_folder("user/config/keys");
                     server_ = std::make_unique<FuseServer>(scratch.path(GetParam().mounted), FUSE_LOOKUP);
                 }});
    ASSERT_TRUE(agent.is_notified("READY=1", 3 * kDeadline)) << agent.messages();
    EXPECT_TRUE(server_->has_been_asked());
    std::vector<std::string> unknown;
    for (const auto& record : agent.audit())
        if (text_of(record, "what") == "rule-without-answer") unknown.push_back(text_of(record, "rule"));
    EXPECT_EQ(unknown, std::vector<std::string>{GetParam().rule});
    HostClient host = agent.connect();
    const auto open = [&](const std::string& name) {
        return desc_of(
            host.ask(command("guest-file-open", members({{"path", in_quotes(agent.scratch().path(name))}}))));
    };
    EXPECT_EQ(open("work/file"), "");
    // What was known of the other paths is known.
    std::filesystem::rename(agent.scratch().path("work/keys"), agent.scratch().path("work/renamed"));
    EXPECT_NE(open("work/renamed/key").find("not permitted"), std::string::npos);
    server_->release();
    EXPECT_EQ(agent.stop(), 0);
}

TEST_F(Hanging, ALeaseOfALocalUserIsAnErrorAtOnce) {
    const UniqueFd file(::open(path("work/file").c_str(), O_RDWR | O_CLOEXEC));
    std::signal(SIGIO, SIG_IGN);
    ASSERT_EQ(::fcntl(file.get(), F_SETLEASE, F_WRLCK), 0);
    HostClient host = agent_.connect();
    EXPECT_NE(desc_of(host.ask(open("work/file"))).find("temporarily unavailable"), std::string::npos);
    ASSERT_EQ(::fcntl(file.get(), F_SETLEASE, F_UNLCK), 0);
    EXPECT_EQ(desc_of(host.ask(open("work/file"))), "");
}

TEST_F(Hanging, AClerkThatIsKilledCostsItsRequestOnly) {
    FuseServer server(path("slow"), FUSE_READ);
    HostClient host = agent_.connect();
    const std::int64_t handle = handle_of(host.ask(open("slow/file")));
    const auto before = children_of(hand());
    host.send(about("read", handle));
    ASSERT_TRUE(server.is_waited_for());
    // Which of them waits, only the kernel knows: it sleeps without being disturbed.
    for (const pid_t clerk : before) send_signal(clerk, SIGKILL);
    server.release();
    EXPECT_NE(desc_of(host.line(kDeadline)), "");
    EXPECT_EQ(desc_of(host.ask(open("work/file"))), "");
    EXPECT_EQ(agent_.stop(), 0);
}

TEST_F(Hanging, AHandThatIsKilledEndsTheAgent) {
    HostClient host = agent_.connect();
    handle_of(host.ask(open("work/file")));
    const auto all = agent_.processes();
    send_signal(hand(), SIGKILL);
    EXPECT_EQ(agent_.broker().wait(), 1);
    for (const pid_t process : all) EXPECT_TRUE(eventually([&] { return !is_running(process); }));
    EXPECT_EQ(agent_.count_audit("reason", "the files hand is lost"), 1U);
}

}  // namespace
}  // namespace sallyport::test
