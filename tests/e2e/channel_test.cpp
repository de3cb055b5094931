// Channels: the unix socket and who may use it, a serial line, socket activation, addresses that make no
// sense.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/cases.hpp"
#include "tests/support/process.hpp"
#include "tests/support/terminal.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kSomebody = 12345;
constexpr uid_t kSomebodyElse = 12346;
const std::string kPong = "{\"return\": {}}";

TEST(UnixChannel, AnswersOneClientAndLetsTheNextWait) {
    Agent agent({});
    auto first = std::make_unique<HostClient>(agent.connect());
    EXPECT_EQ(first->ask(command("guest-ping")), kPong);
    HostClient second = agent.connect();
    second.send(command("guest-ping"));
    EXPECT_EQ(first->ask(command("guest-ping")), kPong);
    EXPECT_TRUE(second.is_silent());
    first.reset();
    EXPECT_EQ(second.line(), kPong);
}

TEST(UnixChannel, RequestsBeforeAHalfCloseAreAnswered) {
    Agent agent({});
    HostClient host = agent.connect();
    for (int at = 0; at < 100; ++at) host.send(command("guest-ping"));
    host.half_close();
    for (int at = 0; at < 100; ++at) EXPECT_EQ(host.line(), kPong);
    EXPECT_TRUE(host.is_closed());
}

TEST(UnixChannel, HalfARequestIsNotCompletedByTheNextClient) {
    Agent agent({});
    HostClient(agent.socket()).send("{\"execute\":\"guest-");
    HostClient host = agent.connect();
    EXPECT_EQ(host.ask(command("guest-ping")), kPong);
}

TEST(UnixChannel, ClientThatLeavesWithUnreadRepliesDoesNotEndTheService) {
    Agent agent({});
    for (int round = 0; round < 5; ++round) {
        HostClient host = agent.connect();
        for (int at = 0; at < 50; ++at) host.send(command("guest-info"));
    }
    EXPECT_EQ(HostClient(agent.socket()).ask(command("guest-ping")), kPong);
    EXPECT_EQ(agent.stop(), 0);
}

TEST(UnixChannel, EachConnectionHasAWorkerOfItsOwn) {
    Agent agent({});
    HostClient(agent.socket()).ask(command("guest-ping"));
    auto first = std::make_unique<HostClient>(agent.connect());
    first->ask(command("guest-ping"));
    const pid_t worker = agent.worker();
    first.reset();
    HostClient second = agent.connect();
    second.ask(command("guest-ping"));
    EXPECT_NE(agent.worker(), worker);
    EXPECT_FALSE(is_running(worker));
}

TEST(UnixChannel, SocketIsForItsOwnerUnlessThePolicyNamesPeers) {
    Agent alone({});
    ASSERT_TRUE(alone.is_serving());
    EXPECT_EQ(fs::status(alone.socket()).permissions(), fs::perms(0600));
    Agent shared({.policy = "schema = 1\npeers = { uids = [12345] }\n"});
    ASSERT_TRUE(shared.is_serving());
    EXPECT_EQ(fs::status(shared.socket()).permissions(), fs::perms(0666));
}

/// Connects as another user and pings: 0 answered, 1 closed without an answer, 2 anything else.
int ping_as(const std::string& socket, uid_t user) {
    Child child([&] {
        if (::setgroups(0, nullptr) != 0 || ::setresgid(user, user, user) != 0 ||
            ::setresuid(user, user, user) != 0)
            return 3;
        HostClient host(socket);
        try {
            host.send(command("guest-ping"));
        } catch (const std::runtime_error&) {
            return 1;
        }
        if (host.is_closed()) return 1;
        return host.line() == kPong ? 0 : 2;
    });
    return child.wait().value_or(4);
}

TEST(UnixChannel, PeerThatThePolicyNamesIsServedAndOthersAreTurnedAwayAndAudited) {
    Agent agent({.policy = "schema = 1\npeers = { uids = [12345] }\n"});
    ASSERT_TRUE(agent.is_serving());
    EXPECT_EQ(ping_as(agent.socket(), kSomebody), 0);
    const auto before = agent.audit().size();
    EXPECT_EQ(ping_as(agent.socket(), kSomebodyElse), 1);
    // Who is turned away sees that before the line is written.
    EXPECT_TRUE(eventually([&] {
        const auto records = agent.audit();
        return std::any_of(records.begin() + static_cast<std::ptrdiff_t>(before), records.end(),
                           [](const auto& record) {
                               return text_of(record, "verdict") == "refuse" &&
                                      text_of(record, "arguments").find("12346") != std::string::npos;
                           });
    })) << audit_lines(agent.audit_file()).back();
    EXPECT_EQ(HostClient(agent.socket()).ask(command("guest-ping")), kPong);
}

TEST(UnixChannel, StrangersDoNotUseUpDescriptors) {
    Agent agent({.policy = "schema = 1\npeers = { uids = [12345] }\n"});
    ASSERT_TRUE(agent.is_serving());
    const std::size_t before = count_descriptors(agent.broker().pid());
    for (int at = 0; at < 20; ++at) EXPECT_EQ(ping_as(agent.socket(), kSomebodyElse), 1);
    EXPECT_EQ(count_descriptors(agent.broker().pid()), before);
}

TEST(UnixChannel, OldSocketIsReplaced) {
    Agent agent({});
    ASSERT_TRUE(agent.is_serving());
    EXPECT_EQ(agent.stop(), 0);
    agent.restart();
    EXPECT_EQ(HostClient(agent.socket()).ask(command("guest-ping")), kPong);
}

struct Obstacle {
    const char* name;
    void (*make)(const std::string& path);
};

class AtTheSocketsPath : public testing::TestWithParam<Obstacle> {};

TEST_P(AtTheSocketsPath, WhatIsNoSocketStaysAndTheStartFails) {
    Agent agent({.prepare = [](const Scratch& scratch) { GetParam().make(scratch.path("host.sock")); }});
    EXPECT_EQ(agent.broker().wait(), 1);
    EXPECT_FALSE(agent.is_serving());
    EXPECT_FALSE(fs::is_socket(fs::symlink_status(agent.socket())));
    EXPECT_TRUE(fs::exists(fs::symlink_status(agent.socket())));
    EXPECT_NE(agent.messages(), "");
}

const Obstacle kObstacles[] = {
    {"File", [](const std::string& path) { ::close(::open(path.c_str(), O_CREAT | O_WRONLY, 0600)); }},
    {"Folder", [](const std::string& path) { fs::create_directory(path); }},
    {"Fifo", [](const std::string& path) { ::mkfifo(path.c_str(), 0600); }},
    {"DanglingLink", [](const std::string& path) { fs::create_symlink("nowhere", path); }},
    {"LinkToAFile", [](const std::string& path) { fs::create_symlink("policy.toml", path); }},
};
INSTANTIATE_TEST_SUITE_P(, AtTheSocketsPath, testing::ValuesIn(kObstacles), case_name<Obstacle>);

struct BadChannel {
    const char* name;
    std::vector<std::string> words;
    const char* message;  // a part of what is said
};

class ChannelOptions : public testing::TestWithParam<BadChannel> {};

TEST_P(ChannelOptions, ThatMakeNoSenseEndTheStartWithStatusOne) {
    Agent agent({.words = GetParam().words, .own_channel = false});
    EXPECT_EQ(agent.broker().wait(), 1);
    EXPECT_NE(agent.messages().find(GetParam().message), std::string::npos) << agent.messages();
    EXPECT_FALSE(agent.is_serving());
}

// clang-format off
const BadChannel kBadChannels[] = {
    {"UnknownMethod",            {"-m", "carrier-pigeon", "-p", "/x"}, "unsupported"},
    {"UnixWithoutPath",          {"-m", "unix-listen"}, "path"},
    {"VsockWithoutPath",         {"-m", "vsock-listen"}, "path"},
    {"VsockWithoutPort",         {"-m", "vsock-listen", "-p", "3"}, "error parsing address"},
    {"VsockBadCid",              {"-m", "vsock-listen", "-p", "-1:5"}, "Failed to parse cid"},
    {"VsockTextCid",             {"-m", "vsock-listen", "-p", "any:5"}, "Failed to parse cid"},
    {"VsockCidTooLarge",         {"-m", "vsock-listen", "-p", "4294967296:5"}, "Failed to parse cid"},
    {"VsockBadPort",             {"-m", "vsock-listen", "-p", "3:x"}, "Failed to parse port"},
    {"VsockEmptyPort",           {"-m", "vsock-listen", "-p", "3:"}, "Failed to parse port"},
    {"VsockPortTooLarge",        {"-m", "vsock-listen", "-p", "3:4294967296"}, "Failed to parse port"},
    {"VsockSpaceInPort",         {"-m", "vsock-listen", "-p", "3: 5"}, "Failed to parse port"},
    {"VirtioPortThatIsNotThere", {"-m", "virtio-serial", "-p", "/dev/no-such-port"}, "No such file"},
    {"IsaPortThatIsNotThere",    {"-m", "isa-serial", "-p", "/dev/no-such-port"}, "No such file"},
    {"IsaPortThatIsNoTerminal",  {"-m", "isa-serial", "-p", "/dev/null"}, "ioctl"},
    {"UnixPathTooLong",          {"-m", "unix-listen", "-p", "/tmp/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"}, "too long"},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(, ChannelOptions, testing::ValuesIn(kBadChannels), case_name<BadChannel>);

TEST(SerialLine, IsAnsweredRawAndKeepsItsParserOverTheWorkersEnd) {
    Terminal terminal = open_terminal();
    Agent agent({.words = {"-m", "isa-serial", "-p", terminal.path}, .own_channel = false});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host(std::move(terminal.master));
    EXPECT_EQ(host.ask(command("guest-ping")), kPong);
    EXPECT_EQ(host.ask("\xff" + command("guest-sync-delimited", "{\"id\":5}")), "\xff{\"return\": 5}");
    ASSERT_TRUE(send_signal(agent.idle_worker(), SIGKILL));
    EXPECT_EQ(host.ask("\xff" + command("guest-ping")), kPong);
    EXPECT_EQ(agent.stop(), 0);
}

TEST(SerialLine, ClientThatNeverEndsALineIsAnsweredBehindHalfARequest) {
    Terminal terminal = open_terminal();
    Agent agent({.words = {"-m", "isa-serial", "-p", terminal.path}, .own_channel = false});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host(std::move(terminal.master));
    const std::string request = R"({"execute":"guest-ping"})";
    host.send(R"({"execute":"guest-pi)");
    EXPECT_TRUE(desc_of(host.ask(request)).starts_with("JSON parse error, "));
    EXPECT_EQ(host.ask(request), kPong);
    EXPECT_EQ(agent.stop(), 0);
}

TEST(SerialLine, ReadsFilesAsWell) {
    Terminal terminal = open_terminal();
    Agent agent(
        {.policy = "schema = 1\n[[allow]]\nid = \"r\"\nwhy = \"test\"\ncommands = [\"@file\"]\n"
                   "files = [{ under = \"$D/work\", access = [\"read\"] }]\n",
         .prepare = [](const Scratch& scratch) { scratch.write("work/file", std::string(300'000, 'x')); },
         .words = {"-m", "isa-serial", "-p", terminal.path},
         .own_channel = false});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host(std::move(terminal.master));
    host.ask(command("guest-file-open", members({{"path", in_quotes(agent.scratch().path("work/file"))}})));
    const std::string reply = host.ask(command("guest-file-read", R"({"handle":1000,"count":400000})"));
    EXPECT_EQ(result_of(reply).at("count").to_number<int>(), 300'000);
}

TEST(VirtioPort, IsAnsweredAndServedAgainAfterTheWorkersEnd) {
    Terminal terminal = open_terminal();
    termios raw{};
    ASSERT_EQ(::tcgetattr(terminal.slave.get(), &raw), 0);
    ::cfmakeraw(&raw);
    ASSERT_EQ(::tcsetattr(terminal.slave.get(), TCSANOW, &raw), 0);
    Agent agent({.words = {"-m", "virtio-serial", "-p", terminal.path}, .own_channel = false});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host(std::move(terminal.master));
    EXPECT_EQ(host.ask(command("guest-ping")), kPong);
    ASSERT_TRUE(send_signal(agent.idle_worker(), SIGKILL));
    EXPECT_EQ(host.ask(command("guest-ping")), kPong);
    EXPECT_EQ(agent.stop(), 0);
}

/// A listening unix socket for an agent to inherit.
UniqueFd listen_at(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(socket.get(), 4) != 0)
        throw std::runtime_error("listen at " + path);
    return socket;
}

/// Runs the agent with `inherited` as descriptor 3 and the variables of socket activation.
class Activated {
public:
    Activated(int inherited, const std::string& pid, const std::string& count)
        : child_([=, this] { return become(inherited, pid, count); }) {}
    Child& child() { return child_; }
    [[nodiscard]] std::string messages() const { return read_file(scratch_.path("messages")); }
    [[nodiscard]] const Scratch& scratch() const { return scratch_; }

private:
    int become(int inherited, const std::string& pid, const std::string& count) const {
        const std::string root = build_root();
        scratch_.make_folder("state", 0700);
        scratch_.write("policy.toml", "schema = 1\n");
        if (::dup2(inherited, 3) < 0) return 120;
        ::fcntl(3, F_SETFD, 0);
        const int file = ::open(scratch_.path("messages").c_str(), O_WRONLY | O_CREAT, 0600);
        if (::dup2(file, STDERR_FILENO) < 0) return 120;
        ::setenv("LISTEN_PID", pid.empty() ? std::to_string(::getpid()).c_str() : pid.c_str(), 1);
        ::setenv("LISTEN_FDS", count.c_str(), 1);
        ::execl((root + "/broker/sallyportd").c_str(), "sallyportd", "--policy",
                scratch_.path("policy.toml").c_str(), "-t", scratch_.path("state").c_str(), "-m",
                "unix-listen", "-p", scratch_.path("own.sock").c_str(), nullptr);
        return 127;
    }
    Scratch scratch_;
    Child child_;
};

TEST(SocketActivation, InheritedSocketIsServedAndOptionsAreIgnored) {
    const Scratch scratch;
    const std::string path = scratch.path("inherited.sock");
    const UniqueFd socket = listen_at(path);
    Activated agent(socket.get(), "", "1");
    EXPECT_EQ(HostClient(path).ask(command("guest-ping")), kPong);
    EXPECT_FALSE(fs::exists(agent.scratch().path("own.sock")));
    agent.child().signal(SIGTERM);
    EXPECT_EQ(agent.child().wait(), 0);
}

TEST(SocketActivation, OfAnotherProcessIsIgnored) {
    const Scratch scratch;
    const UniqueFd socket = listen_at(scratch.path("inherited.sock"));
    Activated agent(socket.get(), "1", "1");
    EXPECT_EQ(HostClient(agent.scratch().path("own.sock")).ask(command("guest-ping")), kPong);
}

TEST(SocketActivation, MoreThanOneSocketEndsTheStart) {
    const Scratch scratch;
    const UniqueFd socket = listen_at(scratch.path("inherited.sock"));
    Activated agent(socket.get(), "", "2");
    EXPECT_EQ(agent.child().wait(), 1);
    EXPECT_NE(agent.messages().find("one socket"), std::string::npos) << agent.messages();
}

TEST(SocketActivation, DescriptorThatIsNoSocketEndsTheStart) {
    const UniqueFd file(::open("/dev/null", O_RDWR | O_CLOEXEC));
    Activated agent(file.get(), "", "1");
    EXPECT_EQ(agent.child().wait(), 1);
    EXPECT_NE(agent.messages(), "");
}

TEST(SocketActivation, SocketOfAnotherFamilyEndsTheStart) {
    const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    Activated agent(socket.get(), "", "1");
    EXPECT_EQ(agent.child().wait(), 1);
    EXPECT_NE(agent.messages().find("unsupported listen fd type"), std::string::npos) << agent.messages();
}

}  // namespace
}  // namespace sallyport::test
