// Options -a and -b: they take commands away from the policy and give none.
#include <gtest/gtest.h>

#include "tests/support/agent.hpp"

namespace sallyport::test {
namespace {

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "read"
why = "a folder to look at"
commands = ["@file"]
files = [{ under = "$D/read", access = ["read"] }]
)";

void prepare(const Scratch& scratch) {
    scratch.write("read/file", "readable");
}

TEST(Narrowing, BlockedCommandReadsAsDisabled) {
    Agent agent({.policy = kPolicy, .prepare = prepare, .words = {"-b", "guest-file-read,guest-nothing"}});
    HostClient host = agent.connect();
    const std::string path = in_quotes(agent.scratch().path("read/file"));
    EXPECT_EQ(desc_of(host.ask(command("guest-file-open", members({{"path", path}})))), "");
    EXPECT_EQ(host.ask(command("guest-file-read", "{\"handle\":1000}")),
              error_line("Command guest-file-read has been disabled: the command is not allowed",
                         "CommandNotFound"));
    EXPECT_EQ(agent.stop(), 0);
}

TEST(Narrowing, AllowListLeavesOnlyItsMembers) {
    Agent agent({.policy = kPolicy, .prepare = prepare, .words = {"-a", "guest-file-open,guest-ping"}});
    HostClient host = agent.connect();
    EXPECT_EQ(host.ask(command("guest-file-close", "{\"handle\":1000}")),
              error_line("Command guest-file-close has been disabled: the command is not allowed",
                         "CommandNotFound"));
    const std::string path = in_quotes(agent.scratch().path("read/file"));
    EXPECT_EQ(desc_of(host.ask(command("guest-file-open", members({{"path", path}})))), "");
    EXPECT_EQ(host.ask(command("guest-ping")), "{\"return\": {}}");
    EXPECT_EQ(
        host.ask(command("guest-sync", "{\"id\":1}")),
        error_line("Command guest-sync has been disabled: the command is not allowed", "CommandNotFound"));
}

TEST(Narrowing, AllowListDoesNotWidenThePolicy) {
    Agent agent({.words = {"-a", "guest-file-open,guest-ping,guest-file-read"}});
    HostClient host = agent.connect();
    EXPECT_EQ(host.ask(command("guest-file-open", R"({"path":"/etc/hostname"})")),
              error_line("Command guest-file-open has been disabled: the command is not allowed",
                         "CommandNotFound"));
}

}  // namespace
}  // namespace sallyport::test
