// The verbs that read logs, on logs that an agent has written: what it decided then is what they say of it now, and what is learnt
// from a conversation serves that conversation.
#include <gtest/gtest.h>

#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/run_tool.hpp"

namespace sallyport::test {
namespace {

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "look"
commands = ["@inspect"]
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read", "write", "create"] }]
[[allow]]
id = "hello"
commands = ["guest-exec"]
[[allow.exec]]
program = "/bin/echo"
args = [{ name = 32 }, { int = [1, 1000] }]
run_as = "root"
[[deny]]
id = "keys"
files = [{ under = "$D/work/keys" }]
)";

AgentOptions options(const std::string& text) {
    return {.policy = text, .prepare = [](const Scratch& scratch) {
                for (int at = 0; at < 12; ++at)
                    scratch.write("work/reports/" + std::to_string(at), "a report");
                scratch.write("work/keys/id", "secret");
                scratch.write("work/gr\xc3\xbcn <b>", "not ASCII");
                scratch.write("other", "not allowed");
            }};
}

/// The tool, with words of a shell's line.
Said tool(const Agent& agent, const std::string& words) {
    return run_tool(build_root() + "/policy/tool/verbs/sallyport-policy", agent.scratch().path(), words);
}

std::string open_request(const Agent& agent, const std::string& name, const std::string& mode) {
    return command("guest-file-open",
                   members({{"path", in_quotes(agent.scratch().path(name))}, {"mode", in_quotes(mode)}}));
}

/// What a host asks, and which of it went well.
std::vector<bool> converse(const Agent& agent) {
    HostClient host = agent.connect();
    std::vector<bool> went_well;
    const auto ask = [&](const std::string& request) {
        went_well.push_back(desc_of(host.ask(request)).empty());
    };
    for (int at = 0; at < 12; ++at) ask(open_request(agent, "work/reports/" + std::to_string(at), "r"));
    ask(open_request(agent, "work/gr\xc3\xbcn <b>", "r"));
    ask(command("guest-file-read", R"({"handle":1000})"));
    ask(command("guest-file-close", R"({"handle":1000})"));
    ask(command("guest-get-osinfo"));
    ask(command("guest-exec", R"({"path":"/bin/echo","arg":["unit","7"]})"));
    ask(command("guest-exec", R"({"path":"/bin/echo","arg":["--unit","7"]})"));
    ask(open_request(agent, "work/keys/id", "r"));
    ask(open_request(agent, "other", "r"));
    ask(command("guest-fstrim"));
    return went_well;
}

class LogOfAnAgent : public testing::Test {
protected:
    LogOfAnAgent() : answers_(converse(agent_)) {}
    /// The policy as it was in force, in a file in the scratch folder.
    std::string policy_file() {
        std::string text = kPolicy;
        for (std::size_t at = 0; (at = text.find("$D")) != text.npos;)
            text.replace(at, 2, agent_.scratch().path());
        return agent_.scratch().write("p.toml", text);
    }
    std::string log() { return agent_.audit_file(); }

    Agent agent_{options(kPolicy)};
    std::vector<bool> answers_;
};

TEST_F(LogOfAnAgent, IsAnsweredAlikeByThePolicyThatAnsweredIt) {
    const Said said = tool(agent_, "simulate " + policy_file() + " " + log());
    EXPECT_EQ(said.status, 0) << said.text;
    EXPECT_NE(said.text.find(std::to_string(answers_.size()) + " decisions asked again"), said.text.npos)
        << said.text;
}

TEST_F(LogOfAnAgent, SaysWhatAnotherPolicyWouldHaveRefused) {
    const std::string deny = agent_.scratch().write("none.toml", "schema = 1\n");
    const Said said = tool(agent_, "simulate " + deny + " " + log());
    EXPECT_EQ(said.status, 3) << said.text;
    EXPECT_NE(said.text.find("then: rule 'work'"), said.text.npos) << said.text;
}

TEST_F(LogOfAnAgent, WhatIsLearntFromItServesItAndNoMore) {
    const Said learnt = tool(agent_, "learn --policy " + policy_file() + " " + log());
    ASSERT_EQ(learnt.status, 0) << learnt.text;
    std::string text = learnt.text;
    const std::string folder = agent_.scratch().path();
    for (std::size_t at = 0; (at = text.find(folder)) != text.npos;) text.replace(at, folder.size(), "$D");
    Agent next(options(text));
    ASSERT_TRUE(next.is_serving()) << text;
    EXPECT_EQ(converse(next), answers_) << text;
    HostClient host = next.connect();
    EXPECT_NE(desc_of(host.ask(open_request(next, "work/reports/new", "w"))), "") << text;
    EXPECT_NE(desc_of(host.ask(command("guest-exec", R"({"path":"/bin/echo","arg":["unit","8"]})"))), "")
        << text;
}

TEST_F(LogOfAnAgent, WhatIsLearntWithoutAPolicyServesItToo) {
    const Said learnt = tool(agent_, "learn " + log());
    ASSERT_EQ(learnt.status, 0) << learnt.text;
    std::string text = learnt.text;
    const std::string folder = agent_.scratch().path();
    for (std::size_t at = 0; (at = text.find(folder)) != text.npos;) text.replace(at, folder.size(), "$D");
    Agent next(options(text));
    ASSERT_TRUE(next.is_serving()) << text << next.messages();
    EXPECT_EQ(converse(next), answers_) << text;
}

TEST_F(LogOfAnAgent, HasTheRulesThatWereUsed) {
    const Said said = tool(agent_, "unused " + policy_file() + " " + log());
    EXPECT_EQ(said.status, 0) << said.text;
    for (const char* rule : {"'look'", "'work'", "'hello'", "'keys'"})
        EXPECT_NE(said.text.find(rule, said.text.find("used, with")), said.text.npos) << said.text;
}

TEST_F(LogOfAnAgent, IsReportedWithACommandForEachRefusalThatTellsOfIt) {
    const Said said = tool(agent_, "report --policy " + policy_file() + " " + log());
    EXPECT_EQ(said.status, 0) << said.text;
    std::size_t told = 0;
    for (std::size_t at = 0; (at = said.text.find("sallyport-policy explain ", at)) != said.text.npos;
         ++told) {
        const std::string line = said.text.substr(at + 17, said.text.find('\n', at) - at - 17);
        EXPECT_EQ(tool(agent_, line).status, 3) << line;
        at += line.size();
    }
    EXPECT_EQ(told, 4U) << said.text;
    const Said metrics = tool(agent_, "metrics " + log());
    EXPECT_NE(
        metrics.text.find("sallyport_requests_total{command=\"guest-file-open\",verdict=\"refuse\"} 2\n"),
        metrics.text.npos)
        << metrics.text;
    EXPECT_NE(metrics.text.find("sallyport_starts_total 1\n"), metrics.text.npos) << metrics.text;
}

}  // namespace
}  // namespace sallyport::test
