// Handles over connections, workers and restarts; the audit log and its chain.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "ipc/limits.hpp"
#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/process.hpp"

namespace sallyport::test {
namespace {

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "work"
why = "a folder to work in"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read", "write", "create"] }]
)";

AgentOptions options() {
    return {.policy = kPolicy,
            .prepare = [](const Scratch& scratch) { scratch.write("work/file", "contents of the file"); }};
}

std::string open_request(const Agent& agent, const std::string& name, const std::string& mode = "r") {
    const std::string path = agent.scratch().path("work/" + name);
    return command("guest-file-open", members({{"path", in_quotes(path)}, {"mode", in_quotes(mode)}}));
}

std::string on_handle(std::string_view name, std::int64_t handle) {
    return command(name, members({{"handle", std::to_string(handle)}}));
}

std::string handle_not_found(std::int64_t handle) {
    return error_line("handle '" + std::to_string(handle) + "' has not been found");
}

class Handles : public testing::Test {
protected:
    Agent agent_{options()};
};

TEST_F(Handles, BeginAtOneThousandAndGrowByOne) {
    HostClient host = agent_.connect();
    EXPECT_EQ(host.ask(open_request(agent_, "file")), "{\"return\": 1000}");
    EXPECT_EQ(host.ask(open_request(agent_, "file")), "{\"return\": 1001}");
    EXPECT_EQ(host.ask(open_request(agent_, "new", "w")), "{\"return\": 1002}");
}

TEST_F(Handles, FailedOpenTakesNone) {
    HostClient host = agent_.connect();
    host.ask(open_request(agent_, "missing"));
    host.ask(open_request(agent_, "../outside"));
    host.ask(open_request(agent_, "file", "nonsense"));
    EXPECT_EQ(host.ask(open_request(agent_, "file")), "{\"return\": 1000}");
}

TEST_F(Handles, ClosedNumberIsNotGivenAgain) {
    HostClient host = agent_.connect();
    host.ask(open_request(agent_, "file"));
    EXPECT_EQ(host.ask(on_handle("guest-file-close", 1000)), "{\"return\": {}}");
    EXPECT_EQ(host.ask(open_request(agent_, "file")), "{\"return\": 1001}");
    EXPECT_EQ(host.ask(on_handle("guest-file-read", 1000)), handle_not_found(1000));
}

TEST_F(Handles, NumbersGoOnAfterARestartAndFilesAreClosed) {
    {
        HostClient host = agent_.connect();
        host.ask(open_request(agent_, "file"));
        host.ask(open_request(agent_, "file"));
    }
    EXPECT_EQ(agent_.stop(), 0);
    agent_.restart();
    HostClient host = agent_.connect();
    EXPECT_EQ(host.ask(on_handle("guest-file-read", 1000)), handle_not_found(1000));
    EXPECT_EQ(handle_of(host.ask(open_request(agent_, "file"))), kFirstHandle + kHandlesPerRun);
}

TEST_F(Handles, NumbersGoOnAfterTheBrokerWasKilled) {
    HostClient(agent_.socket()).ask(open_request(agent_, "file"));
    agent_.broker().signal(SIGKILL);
    EXPECT_EQ(agent_.broker().wait(), -SIGKILL);
    agent_.restart();
    HostClient host = agent_.connect();
    EXPECT_EQ(handle_of(host.ask(open_request(agent_, "file"))), kFirstHandle + kHandlesPerRun);
}

TEST_F(Handles, FilesStayOpenOverANewConnection) {
    HostClient(agent_.socket()).ask(open_request(agent_, "file"));
    HostClient host = agent_.connect();
    EXPECT_EQ(host.ask(on_handle("guest-file-read", 1000)), "{\"return\": {\"count\": 20, \"buf-b64\": \"" +
                                                                base64("contents of the file") +
                                                                "\", \"eof\": true}}");
}

TEST_F(Handles, FilesAndPositionsSurviveTheWorkersEnd) {
    HostClient host = agent_.connect();
    host.ask(open_request(agent_, "file"));
    host.ask(command("guest-file-seek", R"({"handle":1000,"offset":12,"whence":"set"})"));
    ASSERT_TRUE(send_signal(agent_.idle_worker(), SIGKILL));
    EXPECT_EQ(host.ask(on_handle("guest-file-read", 1000)),
              "{\"return\": {\"count\": 8, \"buf-b64\": \"" + base64("the file") + "\", \"eof\": true}}");
}

TEST_F(Handles, OpenFilesAreLimited) {
    HostClient host = agent_.connect();
    for (std::size_t at = 0; at < kMaxOpenFiles; ++at)
        ASSERT_EQ(desc_of(host.ask(open_request(agent_, "file"))), "");
    const std::string path = agent_.scratch().path("work/file");
    EXPECT_EQ(host.ask(open_request(agent_, "file")),
              error_line("failed to open file '" + path + "' (mode: 'r'): Too many open files"));
    EXPECT_EQ(host.ask(on_handle("guest-file-close", 1005)), "{\"return\": {}}");
    EXPECT_EQ(desc_of(host.ask(open_request(agent_, "file"))), "");
}

class AuditLog : public testing::Test {
protected:
    Agent agent_{options()};
};

TEST_F(AuditLog, HasOneLineForEachDecision) {
    HostClient host = agent_.connect();
    host.ask(open_request(agent_, "file", "r+"));
    host.ask(on_handle("guest-file-read", 1000));
    host.ask(command("guest-file-write", R"({"handle":1000,"buf-b64":"aGk="})"));
    host.ask(command("guest-file-seek", R"({"handle":1000,"offset":0,"whence":0})"));
    host.ask(on_handle("guest-file-flush", 1000));
    host.ask(on_handle("guest-file-close", 1000));
    host.ask(on_handle("guest-file-close", 1000));
    host.ask(open_request(agent_, "../outside"));
    for (const char* once : {"guest-file-read", "guest-file-write", "guest-file-seek", "guest-file-flush"})
        EXPECT_EQ(agent_.count_audit("what", once), 1U) << once;
    EXPECT_EQ(agent_.count_audit("what", "guest-file-open"), 2U);
    EXPECT_EQ(agent_.count_audit("what", "guest-file-close"), 2U);
    EXPECT_EQ(agent_.count_audit("verdict", "allow"), 6U);
    EXPECT_EQ(agent_.count_audit("verdict", "refuse"), 1U);
    EXPECT_EQ(agent_.count_audit("verdict", "fail"), 1U);
    EXPECT_EQ(agent_.count_audit("rule", "work"), 7U);
}

TEST_F(AuditLog, SaysHowManyBytesWentWhere) {
    HostClient host = agent_.connect();
    host.ask(open_request(agent_, "file"));
    host.ask(on_handle("guest-file-read", 1000));
    const auto records = agent_.audit();
    EXPECT_EQ(text_of(records.back(), "what"), "guest-file-read");
    EXPECT_EQ(text_of(records.back(), "bytes"), "20");
    EXPECT_NE(text_of(records.back(), "arguments").find("1000"), std::string::npos);
}

TEST_F(AuditLog, DisabledCommandIsRecordedAsRefused) {
    Agent agent({.policy = "schema = 1\n"});
    HostClient host = agent.connect();
    host.ask(command("guest-file-flush", R"({"handle":1})"));
    EXPECT_EQ(agent.count_audit("what", "guest-file-flush"), 1U);
    EXPECT_EQ(agent.count_audit("verdict", "refuse"), 1U);
}

TEST_F(AuditLog, HasNoLineForWhatTheWorkerAnswersAlone) {
    HostClient host = agent_.connect();
    host.ask(on_handle("guest-file-close", 999));
    const std::size_t before = agent_.audit().size();
    for (const std::string& one :
         {command("guest-sync", R"({"id":1})"), command("guest-sync-delimited", R"({"id":2})"),
          command("guest-ping"), command("guest-info"), command("guest-fsfreeze-status"),
          command("no-such-command"), std::string("{\"execute\": 5}\n")})
        host.ask(one);
    host.ask(on_handle("guest-file-close", 999));
    EXPECT_EQ(agent_.audit().size(), before + 1);
}

TEST_F(AuditLog, ChainHoldsAndGoesOnOverARestart) {
    for (int round = 0; round < 3; ++round) {
        HostClient host = agent_.connect();
        for (int at = 0; at < 5; ++at) host.ask(open_request(agent_, "file"));
        EXPECT_EQ(agent_.stop(), 0);
        agent_.restart();
        ASSERT_TRUE(agent_.is_serving());
    }
    const auto lines = audit_lines(agent_.audit_file());
    EXPECT_GE(lines.size(), 15U);
    EXPECT_EQ(first_broken_link(lines), -1);
}

TEST_F(AuditLog, ChainGoesOnAfterTheBrokerWasKilled) {
    HostClient(agent_.socket()).ask(open_request(agent_, "file"));
    agent_.broker().signal(SIGKILL);
    agent_.broker().wait();
    agent_.restart();
    HostClient(agent_.socket()).ask(open_request(agent_, "file"));
    EXPECT_EQ(first_broken_link(audit_lines(agent_.audit_file())), -1);
}

TEST_F(AuditLog, NeverHoldsContents) {
    HostClient host = agent_.connect();
    host.ask(open_request(agent_, "file", "r+"));
    host.ask(on_handle("guest-file-read", 1000));
    const std::string secret = "a-secret-that-is-written";
    host.ask(
        command("guest-file-write", members({{"handle", "1000"}, {"buf-b64", in_quotes(base64(secret))}})));
    const std::string log = read_file(agent_.audit_file()) + agent_.messages();
    for (const std::string& hidden :
         {secret, base64(secret), std::string("contents of the file"), base64("contents of the file")})
        EXPECT_EQ(log.find(hidden), std::string::npos) << hidden;
}

TEST_F(AuditLog, EscapesWhatAPathHolds) {
    HostClient host = agent_.connect();
    host.ask(command("guest-file-open", R"({"path":"/\u001b[2J\n\"}\u009b\u00e9\u202e"})"));
    const std::string log = read_file(agent_.audit_file()) + agent_.messages();
    for (const char byte : log)
        EXPECT_TRUE(byte == '\n' || (byte >= 0x20 && byte < 0x7f)) << static_cast<int>(byte);
    EXPECT_EQ(first_broken_link(audit_lines(agent_.audit_file())), -1);
    EXPECT_EQ(agent_.count_audit("verdict", "refuse"), 1U);
}

TEST_F(AuditLog, IsForItsOwnerOnly) {
    HostClient(agent_.socket()).ask(open_request(agent_, "file"));
    EXPECT_EQ(std::filesystem::status(agent_.audit_file()).permissions(), std::filesystem::perms(0600));
}

TEST_F(AuditLog, SecondServiceOnTheSameStateDoesNotStart) {
    ASSERT_TRUE(agent_.is_serving());
    const auto second = run({.words = {build_root() + "/broker/sallyportd", "-m", "unix-listen", "-p",
                                       agent_.scratch().path("other"), "--policy",
                                       agent_.scratch().path("policy.toml"), "-t", agent_.state()}});
    EXPECT_EQ(second.ending, 1) << second.error;
}

}  // namespace
}  // namespace sallyport::test
