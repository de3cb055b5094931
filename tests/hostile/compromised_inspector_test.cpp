// An inspector that was taken over, by a name that a user of the guest chose, against the real broker: what it says reaches
// the host only as a reply that the schema allows, and nothing that it does stops the agent for good.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "tests/support/agent.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

// A build tree whose inspector is the puppet.
class Tree {
public:
    Tree() {
        const std::string real = build_root();
        for (const char* program : {"broker/sallyportd", "broker/recorder/recorder",
                                    "policy/cli/sallyport-policy", "worker/worker"}) {
            fs::create_directories(fs::path(scratch_.path(program)).parent_path());
            fs::copy_file(real + "/" + program, scratch_.path(program));
        }
        scratch_.make_folder("inspector");
        fs::copy_file(real + "/tests/hostile/puppet_inspector", scratch_.path("inspector/inspector"));
    }
    [[nodiscard]] std::string root() const { return scratch_.path(); }

private:
    Scratch scratch_;
};

class CompromisedInspector : public testing::Test {
protected:
    Tree tree_;
    Agent agent_{AgentOptions{.policy = "schema = 1\n[[allow]]\nid = \"look\"\ncommands = [\"@inspect\"]\n",
                              .root = tree_.root()}};
    HostClient host_ = agent_.connect();

    void expect_service_goes_on() {
        EXPECT_EQ(host_.ask(command("guest-get-host-name")), R"({"return": {"host-name": "well"}})");
        EXPECT_TRUE(agent_.is_serving());
    }
};

struct Lie {
    const char* name;
    const char* command;
    const char* told;
};

class ALie : public CompromisedInspector, public testing::WithParamInterface<Lie> {};

TEST_P(ALie, IsAnErrorToTheHostAndNothingElse) {
    EXPECT_EQ(host_.ask(command(GetParam().command)), error_line(GetParam().told));
    expect_service_goes_on();
}

constexpr const char* kUnreadable = "the guest's state could not be read";
const Lie kLies[] = {
    {"ReplyToSomethingElse", "guest-get-time", kUnreadable},
    {"NotAMessage", "guest-get-timezone", kUnreadable},
    {"FieldNobodyDeclared", "guest-get-osinfo", kUnreadable},
    {"Welcome", "guest-get-load", kUnreadable},
    {"PartOfTheArena", "guest-get-cpustats", kUnreadable},
    {"ForgedDenial", "guest-get-vcpus", "the command failed"},
    {"WithoutEnd", "guest-get-users", "the reply is too large"},
    {"NoAnswer", "guest-get-fsinfo", "the guest did not answer in time"},
};
INSTANTIATE_TEST_SUITE_P(, ALie, testing::ValuesIn(kLies), case_name<Lie>);

TEST_F(CompromisedInspector, AnswersToOtherQueriesAreIgnored) {
    EXPECT_EQ(host_.ask(command("guest-get-disks")), R"({"return": []})");
    expect_service_goes_on();
}

class Breach : public CompromisedInspector, public testing::WithParamInterface<Lie> {};

TEST_P(Breach, EndsTheAgentToBeStartedAgain) {
    host_.send(command(GetParam().command));
    EXPECT_EQ(agent_.broker().wait(), 1);
    EXPECT_EQ(agent_.count_audit("reason", "the inspector is lost"), 1U);
}

const Lie kBreaches[] = {
    {"NotAFrame", "guest-get-diskstats", ""},
    {"GivenDescriptor", "guest-network-get-route", ""},
};
INSTANTIATE_TEST_SUITE_P(, Breach, testing::ValuesIn(kBreaches), case_name<Lie>);

}  // namespace
}  // namespace sallyport::test
