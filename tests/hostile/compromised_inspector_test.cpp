// An inspector, and a child of it, that was taken over, by a name that a user of the guest chose, against the real broker and worker:
// the broker counts what it says and passes it on; the worker tells the host an error, or a reply that the schema allows, and goes
// on; nothing that it does stops the agent for good.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>

#include "tests/support/agent.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

// A build tree whose inspector is a puppet.
class Tree {
public:
    explicit Tree(const char* puppet) {
        copy_programs(build_root(), scratch_, "",
                      {"inspector/inspector", std::string("tests/hostile/") + puppet});
    }
    [[nodiscard]] std::string root() const { return scratch_.path(); }

private:
    Scratch scratch_;
};

class Puppet : public testing::Test {
protected:
    explicit Puppet(const char* puppet) : tree_(puppet) {}

    Tree tree_;
    Agent agent_{AgentOptions{.policy = "schema = 1\n[[allow]]\nid = \"look\"\ncommands = [\"@inspect\"]\n",
                              .root = tree_.root()}};
    HostClient host_ = agent_.connect();

    void expect_service_goes_on() {
        EXPECT_EQ(host_.ask(command("guest-get-host-name")), R"({"return": {"host-name": "well"}})");
        EXPECT_TRUE(agent_.is_serving());
    }
};

class CompromisedInspector : public Puppet {
protected:
    CompromisedInspector() : Puppet("puppet_inspector") {}
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
    EXPECT_EQ(agent_.count_audit("what", GetParam().command), 1U);
    EXPECT_EQ(agent_.count_audit("what", "worker-ended"), 0U) << "the worker goes on";
    EXPECT_EQ(agent_.count_audit("what", "violation"), 0U);
}

constexpr const char* kUnreadable = "the guest's state could not be read";

TEST_F(CompromisedInspector, WhatTheBrokerDoesNotLookIntoIsCountedInTheLog) {
    EXPECT_EQ(host_.ask(command("guest-get-timezone")), error_line(kUnreadable));
    const auto log = agent_.audit();
    const auto line = std::ranges::find_if(
        log, [](const auto& record) { return record.at("what").as_string() == "guest-get-timezone"; });
    ASSERT_NE(line, log.end());
    EXPECT_EQ(line->at("verdict").as_string(), "allow");
    EXPECT_EQ(line->at("bytes").as_int64(), 3);
}

const Lie kLies[] = {
    {"ReplyToSomethingElse", "guest-get-time", kUnreadable},
    {"NotAMessage", "guest-get-timezone", kUnreadable},
    {"FieldNobodyDeclared", "guest-get-osinfo", kUnreadable},
    {"Welcome", "guest-get-load", kUnreadable},
    {"PartOfTheArena", "guest-get-cpustats", kUnreadable},
    {"ErrorInTheReply", "guest-get-memory-blocks", kUnreadable},
    {"ErrnoThatIsNone", "guest-get-memory-block-info", kUnreadable},
    {"TextThatIsNone", "guest-network-get-interfaces", kUnreadable},
    {"SmallToSayAndLargeToTell", "guest-get-vcpus", kUnreadable},
    {"WithoutEnd", "guest-get-users", "the reply is too large"},
    {"NoAnswer", "guest-get-fsinfo", "the guest did not answer in time"},
};
INSTANTIATE_TEST_SUITE_P(, ALie, testing::ValuesIn(kLies), case_name<Lie>);

TEST_F(CompromisedInspector, AnswersOfTheChildBeforeReachNobody) {
    EXPECT_EQ(host_.ask(command("guest-get-fsinfo")), error_line("the guest did not answer in time"));
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

// The inspector is the real one, its children are not.
class TakenOverChild : public Puppet {
protected:
    TakenOverChild() : Puppet("puppet_child") {}

    pid_t inspector() {
        for (const pid_t child : children_of(agent_.broker().pid()))
            if (name_of(child) == "sallyport-inspector") return child;
        return -1;
    }
};

TEST_F(TakenOverChild, CannotForkSoThatNobodyAnswersForItLater) {
    EXPECT_EQ(host_.ask(command("guest-get-time")), error_line(kUnreadable));
    for (int at = 0; at < 50; ++at) expect_service_goes_on();
}

TEST_F(TakenOverChild, HoldsOneSocket) {
    EXPECT_EQ(host_.ask(command("guest-get-diskstats")), R"({"return": []})");
}

TEST_F(TakenOverChild, ReadsNoFileOfTheGuestAtLarge) {
    EXPECT_EQ(host_.ask(command("guest-get-memory-blocks")), R"({"return": []})");
}

// It ends by that, and the next query gets a new child.
TEST_F(TakenOverChild, AnswerMoreThanWasAskedForIsNotTakenForAnotherChilds) {
    ASSERT_TRUE(agent_.is_serving());
    for (int at = 0; at < 50; ++at) {
        EXPECT_EQ(host_.ask(command("guest-get-load")),
                  R"({"return": {"load15m": 0, "load5m": 0, "load1m": 0}})");
        ASSERT_TRUE(eventually([&] { return children_of(inspector()).empty(); }));
        EXPECT_EQ(host_.ask(command("guest-get-osinfo")), R"({"return": {"id": "well"}})");
    }
}

class AChildsLie : public TakenOverChild, public testing::WithParamInterface<Lie> {};

TEST_P(AChildsLie, IsAnErrorAndTheNextQueryIsAnsweredAtOnce) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(host_.ask(command(GetParam().command)), error_line(GetParam().told));
    expect_service_goes_on();
    // Not by the deadline of a query.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(2500));
}

const Lie kLiesOfAChild[] = {
    {"EmptyPartsWithoutEnd", "guest-get-timezone", kUnreadable},
    {"FullPartsWithoutEnd", "guest-get-users", "the reply is too large"},
    {"NoWordOfIts", "guest-get-vcpus", kUnreadable},
    {"EmptyFrame", "guest-get-cpustats", kUnreadable},
    {"PartThatIsTooLarge", "guest-get-fsinfo", kUnreadable},
    {"OutdatedThoughItIsNew", "guest-network-get-interfaces", kUnreadable},
    {"ErrnoThatIsNone", "guest-get-memory-block-info", kUnreadable},
};
INSTANTIATE_TEST_SUITE_P(, AChildsLie, testing::ValuesIn(kLiesOfAChild), case_name<Lie>);

}  // namespace
}  // namespace sallyport::test
