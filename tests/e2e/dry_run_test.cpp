// Rules that only dry-run, by a whole agent: the log says what they would decide, and the host sees nothing of them.
#include <gtest/gtest.h>

#include "tests/support/agent.hpp"

namespace sallyport::test {
namespace {

std::string text_of(const boost::json::object& record, std::string_view member) {
    const auto* value = record.if_contains(member);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

/// The last record about that command.
boost::json::object record_of(const Agent& agent, std::string_view what) {
    boost::json::object found;
    for (const auto& record : agent.audit())
        if (text_of(record, "what") == what) found = record;
    return found;
}

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
    EXPECT_EQ(text_of(record_of(agent, "guest-get-osinfo"), "would"), "refuse");
    EXPECT_EQ(text_of(record_of(agent, "guest-get-osinfo"), "would_rule"), "no-os");
    // What is refused looks like every other command that is: also where its arguments are wrong.
    const std::string disabled =
        error_line("Command guest-shutdown has been disabled: the command is not allowed", "CommandNotFound");
    for (const char* arguments : {R"({"mode":"halt"})", R"({"mode":1})", R"({"mdoe":"halt"})", "{}"})
        EXPECT_EQ(host.ask(command("guest-shutdown", arguments)), disabled) << arguments;
    EXPECT_NE(host.ask(command("guest-info")).find(R"("enabled": false, "name": "guest-shutdown")"),
              std::string::npos);
    std::size_t would = 0;
    for (const auto& record : agent.audit()) would += text_of(record, "would") == "allow" ? 1U : 0U;
    EXPECT_EQ(would, 1U) << "of the one with the mode of the rule";
    EXPECT_EQ(agent.stop(), 0);
}

}  // namespace
}  // namespace sallyport::test
