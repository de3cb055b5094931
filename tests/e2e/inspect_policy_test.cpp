// What the policy says about what only looks: whether there is an inspector, what it holds, what of a reply the host sees.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <stdexcept>

#include "tests/e2e/guest.hpp"
#include "tests/support/hours.hpp"

namespace sallyport::test {
namespace {

namespace json = boost::json;

class Looking : public testing::Test {
protected:
    static void SetUpTestSuite() {
        enter_own_guest();
        shell(R"(
            ip link set lo up
            ip link add v0 type veth peer name v1
            ip address add 192.0.2.1/24 dev v0
            ip address add 192.0.2.9/32 dev v0 label v0:one
            ip link set v0 up; ip link set v1 up)");
    }
    static std::string rule(std::string_view reply) {
        return "schema = 1\n[[allow]]\nid = \"look\"\ncommands = [\"@inspect\"]\nreply = { " +
               std::string(reply) + " }\n";
    }
};

TEST_F(Looking, NoRuleForItNoInspector) {
    Agent agent({.policy = "schema = 1\ninclude = [\"profile:minimal\"]\n"});
    ASSERT_TRUE(agent.is_serving());
    EXPECT_EQ(agent.processes().size(), 4U);  // broker, nursery and both of the recorder
    EXPECT_THROW(inspector_of(agent), std::runtime_error);
    EXPECT_EQ(class_of(agent.connect().ask(command("guest-get-time"))), "CommandNotFound");
}

TEST_F(Looking, OptionThatBlocksAllOfItLeavesNoInspector) {
    Agent agent({.policy = "schema = 1\n[[allow]]\nid = \"time\"\ncommands = [\"guest-get-time\"]\n",
                 .words = {"-b", "guest-get-time"}});
    EXPECT_THROW(inspector_of(agent), std::runtime_error);
}

TEST_F(Looking, OnlyWhatARuleNamesIsAnswered) {
    Agent agent({.policy = "schema = 1\n[[allow]]\nid = \"time\"\ncommands = [\"guest-get-time\"]\n"});
    HostClient host = agent.connect();
    EXPECT_GT(look(host, "guest-get-time").as_int64(), 1'500'000'000'000'000'000);
    EXPECT_EQ(class_of(host.ask(command("guest-get-users"))), "CommandNotFound");
}

TEST_F(Looking, InspectorHoldsNothing) {
    Agent agent({.policy = std::string(kLook)});
    const pid_t inspector = inspector_of(agent);
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
        EXPECT_EQ(status_field(inspector, set), "0000000000000000") << set;
    EXPECT_EQ(status_field(inspector, "NoNewPrivs"), "1");
    EXPECT_EQ(status_field(inspector, "Seccomp"), "2");
    EXPECT_FALSE(status_field(inspector, "Uid").starts_with("0"));
    for (const char* kind : {"user", "pid", "ipc", "cgroup"})
        EXPECT_NE(namespace_of(inspector, kind), namespace_of(::getpid(), kind)) << kind;
    for (const char* kind : {"mnt", "net", "uts"})
        EXPECT_EQ(namespace_of(inspector, kind), namespace_of(::getpid(), kind)) << kind;
}

TEST_F(Looking, DescriptorsFollowFromTheCommands) {
    Agent agent({.policy = "schema = 1\n[[allow]]\nid = \"time\"\ncommands = [\"guest-get-time\"]\n"});
    EXPECT_EQ(count_descriptors(inspector_of(agent)), 4U);
}

TEST_F(Looking, WorksAsAnOrdinaryUser) {
    Agent agent({.policy = std::string(kLook), .user = 12345});
    HostClient host = agent.connect();
    EXPECT_EQ(look(host, "guest-get-host-name").at("host-name"), "guest-of-test");
    EXPECT_NO_THROW(element(look(host, "guest-network-get-interfaces"), "name", "v0"));
}

TEST_F(Looking, InterfacesThatAreNotNamedAreNotSeen) {
    Agent agent({.policy = rule(R"(interfaces = ["v0"])")});
    HostClient host = agent.connect();
    const auto interfaces = look_list(host, "guest-network-get-interfaces");
    ASSERT_EQ(interfaces.size(), 2U);
    EXPECT_EQ(interfaces[0].at("name"), "v0");
    EXPECT_EQ(interfaces[1].at("name"), "v0:one");
    for (const auto& one : look_list(host, "guest-network-get-route")) EXPECT_EQ(one.at("iface"), "v0");
}

TEST_F(Looking, StarStandsForAnyRest) {
    Agent agent({.policy = rule(R"(interfaces = ["v*"])")});
    HostClient host = agent.connect();
    EXPECT_EQ(look_list(host, "guest-network-get-interfaces").size(), 3U);
}

TEST_F(Looking, NothingNamedNothingSeen) {
    Agent agent({.policy = rule(R"(interfaces = ["none"], mounts = ["/none"], users = ["nobody"])")});
    HostClient host = agent.connect();
    for (const char* one :
         {"guest-network-get-interfaces", "guest-network-get-route", "guest-get-fsinfo", "guest-get-users"})
        EXPECT_EQ(host.ask(command(one)), R"({"return": []})") << one;
}

TEST_F(Looking, MembersThatAreLeftOutAreNotThere) {
    Agent agent(
        {.policy = rule(
             R"(without = ["hardware-address", "statistics", "kernel-version", "total-bytes", "dev"])")});
    HostClient host = agent.connect();
    const json::value interfaces = look(host, "guest-network-get-interfaces");
    const json::object& interface = element(interfaces, "name", "v0");
    EXPECT_EQ(interface.size(), 2U);
    EXPECT_FALSE(look(host, "guest-get-osinfo").as_object().contains("kernel-version"));
    EXPECT_TRUE(look(host, "guest-get-osinfo").as_object().contains("kernel-release"));
    const json::value mounts = look(host, "guest-get-fsinfo");
    for (const auto& one : mounts.as_array()) {
        EXPECT_FALSE(one.as_object().contains("total-bytes"));
        for (const auto& disk : one.at("disk").as_array()) EXPECT_FALSE(disk.as_object().contains("dev"));
    }
}

// Rules are order-free: what one shows is shown.
TEST_F(Looking, SecondRuleShowsMore) {
    Agent agent(
        {.policy = rule(R"(interfaces = ["v0"], without = ["statistics"])") +
                   "[[allow]]\nid = \"more\"\ncommands = [\"guest-network-get-interfaces\"]\n"
                   "reply = { interfaces = [\"lo\"], without = [\"hardware-address\", \"statistics\"] }\n"});
    HostClient host = agent.connect();
    const json::value interfaces = look(host, "guest-network-get-interfaces");
    EXPECT_EQ(interfaces.as_array().size(), 3U);
    EXPECT_TRUE(element(interfaces, "name", "v0").contains("hardware-address"));
    EXPECT_FALSE(element(interfaces, "name", "lo").contains("hardware-address"));
    for (const char* name : {"v0", "lo"})
        EXPECT_FALSE(element(interfaces, "name", name).contains("statistics"));
}

TEST_F(Looking, RuleThatExpiresWhileTheAgentRunsShowsNothingFromThenOn) {
    const std::time_t expires = std::time(nullptr) + 4;
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&expires));
    Agent agent({.policy = rule(R"(interfaces = ["v0"])") + "[[allow]]\nid = \"soon\"\nexpires = " +
                           text.data() + "\ncommands = [\"guest-network-get-interfaces\"]\n"});
    HostClient host = agent.connect();
    const std::size_t first = look_list(host, "guest-network-get-interfaces").size();
    EXPECT_TRUE(first > 2 || std::time(nullptr) >= expires);
    EXPECT_TRUE(eventually([&] { return look_list(host, "guest-network-get-interfaces").size() == 2; }));
}

TEST_F(Looking, RuleOutsideItsHoursShowsNothing) {
    const std::time_t now = std::time(nullptr);
    const std::string more =
        "[[allow]]\nid = \"more\"\ncommands = [\"guest-network-get-interfaces\"]\nwhen = ";
    for (const auto& [when, interfaces] :
         {std::pair(when_from(now, -7200, 7200), 3U), std::pair(when_from(now, 7200, 14'400), 2U)}) {
        Agent agent({.policy = rule(R"(interfaces = ["v0"])") + more + when +
                               "\nreply = { interfaces = [\"lo\"] }\n"});
        HostClient host = agent.connect();
        EXPECT_EQ(look_list(host, "guest-network-get-interfaces").size(), interfaces) << when;
    }
}

TEST_F(Looking, EachQueryIsOneRecord) {
    Agent agent({.policy = std::string(kLook)});
    HostClient host = agent.connect();
    look(host, "guest-get-users");
    EXPECT_EQ(agent.count_audit("what", "guest-get-users"), 1U);
    EXPECT_EQ(agent.count_audit("rule", "look"), 1U);
}

}  // namespace
}  // namespace sallyport::test
