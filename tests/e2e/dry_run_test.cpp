// Rules that only dry-run, by a whole agent: the log says what they would decide, and the host sees nothing of them.
#include <gtest/gtest.h>

#include "tests/support/agent.hpp"

namespace sallyport::test {
namespace {

constexpr const char* kTried = R"(schema = 1
[[allow]]
id = "look"
commands = ["guest-get-osinfo"]
[[deny]]
id = "no-os"
commands = ["guest-get-osinfo"]
enforce = false
expires = 2099-01-31T00:00:00Z
[[allow]]
id = "halt"
commands = ["guest-shutdown"]
modes = ["halt"]
enforce = false
expires = 2099-01-31T00:00:00Z
)";

TEST(DryRun, IsInTheLogAndTheHostSeesNothingOfIt) {
    Agent agent({.policy = kTried});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(desc_of(host.ask(command("guest-get-osinfo"))), "");
    EXPECT_EQ(agent.count_audit("would", "refuse"), 1U);
    EXPECT_EQ(agent.count_audit("would_rule", "no-os"), 1U);
    // What is refused looks like every other command that is: also where its arguments are wrong.
    const std::string disabled =
        error_line("Command guest-shutdown has been disabled: the command is not allowed", "CommandNotFound");
    for (const char* arguments : {R"({"mode":"halt"})", R"({"mode":1})", R"({"mdoe":"halt"})", "{}"})
        EXPECT_EQ(host.ask(command("guest-shutdown", arguments)), disabled) << arguments;
    EXPECT_NE(host.ask(command("guest-info")).find(R"("enabled": false, "name": "guest-shutdown")"),
              std::string::npos);
    EXPECT_EQ(agent.count_audit("would", "allow"), 1U) << "of the one with the mode of the rule";
    EXPECT_EQ(agent.stop(), 0);
}

}  // namespace
}  // namespace sallyport::test
