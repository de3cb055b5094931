// What an upgrade, an admin or a login puts in place of older files while the agent runs: the next request sees it, wherever
// links lead.
#include <gtest/gtest.h>
#include <utmpx.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>

#include "tests/e2e/guest.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

void write_login(const std::string& path, const char* name) {
    utmpx entry{};
    entry.ut_type = USER_PROCESS;
    std::strncpy(entry.ut_user, name, sizeof entry.ut_user - 1);
    std::ofstream file(path, std::ios::binary | std::ios::app);
    file.write(reinterpret_cast<const char*>(&entry), sizeof entry);
}

// A guest whose /etc and /run are the test's own, and whose zones lie where distributions without /usr/share/zoneinfo have
// them.
class ReplacedFiles : public testing::Test {
protected:
    static void SetUpTestSuite() {
        enter_own_guest();
        shell(R"(
            mount -t tmpfs none /mnt
            cp -a /etc /mnt/etc
            mkdir /mnt/store
            cp -a /usr/share/zoneinfo /mnt/store/zoneinfo
            mount --bind /mnt/etc /etc
            mount -t tmpfs none /usr/share/zoneinfo
            mount -t tmpfs none /run)");
        write_login("/mnt/login", "ada");
    }
    static void TearDownTestSuite() { shell("umount /run /usr/share/zoneinfo /etc /mnt"); }
    ReplacedFiles() {
        shell(R"(
            rm -f /run/utmp /etc/localtime /etc/os-release /etc/zoneinfo
            ln -s /mnt/store/zoneinfo /etc/zoneinfo
            ln -s zoneinfo/Asia/Seoul /etc/localtime
            echo 'NAME="the first"' > /etc/os-release)");
        agent_ = std::make_unique<Agent>(AgentOptions{.policy = std::string(kLook)});
        host_ = std::make_unique<HostClient>(agent_->connect());
    }

    std::string zone() {
        return std::string(look(*host_, "guest-get-timezone").at("zone").as_string().c_str());
    }
    std::string name() {
        return std::string(look(*host_, "guest-get-osinfo").at("name").as_string().c_str());
    }
    std::vector<std::string> users() {
        std::vector<std::string> names;
        for (const auto& one : look_list(*host_, "guest-get-users"))
            names.emplace_back(one.at("user").as_string().c_str());
        return names;
    }

    std::unique_ptr<Agent> agent_;
    std::unique_ptr<HostClient> host_;
};

using Names = std::vector<std::string>;

TEST_F(ReplacedFiles, ZoneOfAnyFolderIsRead) {
    EXPECT_EQ(zone(), "KST");
    EXPECT_EQ(look(*host_, "guest-get-timezone").at("offset"), 9 * 3600);
}

TEST_F(ReplacedFiles, LinkToAnotherZoneIsSeenByTheNextRequest) {
    EXPECT_EQ(zone(), "KST");
    shell("ln -sf zoneinfo/Asia/Kolkata /etc/localtime");
    EXPECT_EQ(zone(), "IST");
    shell("ln -sf /mnt/store/zoneinfo/Asia/Tokyo /etc/localtime");
    EXPECT_EQ(zone(), "JST");
}

TEST_F(ReplacedFiles, ZonesThatAnUpgradePutsElsewhereAreSeen) {
    EXPECT_EQ(zone(), "KST");
    shell(R"(
        mkdir -p /mnt/data
        cp -a /mnt/store/zoneinfo /mnt/data/zoneinfo-2
        mv /mnt/store/zoneinfo /mnt/store/old
        ln -sfn /mnt/data/zoneinfo-2 /etc/zoneinfo
        cp --remove-destination /mnt/data/zoneinfo-2/Asia/Tokyo /mnt/data/zoneinfo-2/Asia/Seoul)");
    EXPECT_EQ(zone(), "JST");
    shell("mv /mnt/store/old /mnt/store/zoneinfo");
}

TEST_F(ReplacedFiles, ZoneFileThatIsNoLinkIsSeenWhenItIsReplacedOrWritten) {
    shell("cp --remove-destination /etc/zoneinfo/Asia/Kolkata /etc/localtime");
    EXPECT_EQ(zone(), "IST");
    shell("cp /etc/zoneinfo/Asia/Tokyo /etc/new; mv /etc/new /etc/localtime");
    EXPECT_EQ(zone(), "JST");
    shell("cat /etc/zoneinfo/Asia/Kolkata > /etc/localtime");
    EXPECT_EQ(zone(), "IST");
}

TEST_F(ReplacedFiles, NoZoneIsUtc) {
    shell("rm /etc/localtime");
    EXPECT_EQ(zone(), "UTC");
}

TEST_F(ReplacedFiles, ZoneThatMayNotBeReadIsAnError) {
    shell("cp --remove-destination -L /etc/zoneinfo/Asia/Tokyo /etc/localtime; chmod 600 /etc/localtime");
    EXPECT_FALSE(desc_of(host_->ask(command("guest-get-timezone"))).empty());
    shell("chmod 644 /etc/localtime");
    EXPECT_EQ(zone(), "JST");
}

TEST_F(ReplacedFiles, EnvironmentOfTheAgentDoesNotSayTheZone) {
    host_.reset();
    agent_ = std::make_unique<Agent>(
        AgentOptions{.policy = std::string(kLook), .environment = {"TZ=JST-9", "TZDIR=/mnt"}});
    host_ = std::make_unique<HostClient>(agent_->connect());
    shell("ln -sf zoneinfo/Asia/Kolkata /etc/localtime");
    EXPECT_EQ(zone(), "IST");
}

TEST_F(ReplacedFiles, OsReleaseOfAnUpgradeIsSeenByTheNextRequest) {
    EXPECT_EQ(name(), "the first");
    shell("echo 'NAME=\"the second\"' > /etc/new; mv /etc/new /etc/os-release");
    EXPECT_EQ(name(), "the second");
    shell("echo 'NAME=\"the third\"' > /mnt/store/release; ln -sf /mnt/store/release /etc/os-release");
    EXPECT_EQ(name(), "the third");
}

TEST_F(ReplacedFiles, WithoutOsReleaseInEtcThatInUsrLibIsRead) {
    shell("rm /etc/os-release");
    EXPECT_EQ(name(), "Debian GNU/Linux");
}

// As files and links that an admin has set wrongly: the rest of the reply is known all the same.
TEST_F(ReplacedFiles, OsReleaseThatCannotBeReadIsLeftOut) {
    for (const char* made : {"mkdir /etc/os-release", "ln -s os-release /etc/os-release",
                             "echo NAME=x > /etc/os-release; chmod 600 /etc/os-release"}) {
        shell(std::string("rm -rf /etc/os-release; ") + made);
        EXPECT_EQ(name(), "Debian GNU/Linux") << made;
    }
    for (const char* made : {"mkfifo /etc/os-release", "ln -s /dev/null /etc/os-release"}) {
        shell(std::string("rm -rf /etc/os-release; ") + made);
        const auto reply = look(*host_, "guest-get-osinfo").as_object();
        EXPECT_TRUE(reply.contains("kernel-release")) << made;
        EXPECT_FALSE(reply.contains("name")) << made;
    }
}

TEST_F(ReplacedFiles, LoginsOfAFileThatMayNotBeReadAreAnError) {
    write_login("/run/utmp", "alice");
    shell("chmod 600 /run/utmp");
    EXPECT_FALSE(desc_of(host_->ask(command("guest-get-users"))).empty());
}

TEST_F(ReplacedFiles, LoginsOfAFileThatIsCutOffOrHoldsOtherBytesAreThoseThatAreWhole) {
    write_login("/run/utmp", "alice");
    write_login("/run/utmp", "bob");
    shell("truncate -s -1 /run/utmp");
    EXPECT_EQ(users(), Names{"alice"});
    shell("head -c 800 /dev/zero > /run/utmp");
    EXPECT_EQ(users(), Names{});
}

TEST_F(ReplacedFiles, LoginsOfAFileThatAppearsAfterTheStartAreSeen) {
    EXPECT_EQ(users(), Names{});
    write_login("/run/utmp", "alice");
    EXPECT_EQ(users(), Names{"alice"});
    write_login("/run/utmp", "bob");
    EXPECT_EQ(users(), (Names{"alice", "bob"}));
}

TEST_F(ReplacedFiles, LoginsOfAFileThatReplacedAnotherAreSeen) {
    write_login("/run/utmp", "alice");
    EXPECT_EQ(users(), Names{"alice"});
    write_login("/run/new", "carol");
    shell("mv /run/new /run/utmp");
    EXPECT_EQ(users(), Names{"carol"});
    shell("rm /run/utmp");
    EXPECT_EQ(users(), Names{});
}

struct Replacement {
    const char* name;
    const char* command;
    const char* how;  // in the shell
    const char* told;
};

class OneChild : public ReplacedFiles, public testing::WithParamInterface<Replacement> {};

// What was changed in the last seconds may be changed again without a trace; of what is older one child tells several times.
TEST_P(OneChild, AnswersUntilWhatItHasReadIsReplaced) {
    const pid_t inspector = inspector_of(*agent_);
    const std::string request = command(GetParam().command);
    std::vector<pid_t> first;
    ASSERT_TRUE(eventually([&] {
        host_->ask(request);
        first = children_of(inspector);
        host_->ask(request);
        return first.size() == 1 && children_of(inspector) == first;
    }));
    shell(GetParam().how);
    const std::string told = host_->ask(request);
    EXPECT_NE(told.find(GetParam().told), std::string::npos) << told;
    EXPECT_NE(children_of(inspector), first);
}

// clang-format off
const Replacement kReplacements[] = {
    {"Zone",              "guest-get-timezone", "ln -sf zoneinfo/Asia/Kolkata /etc/localtime", "IST"},
    {"NoZone",            "guest-get-timezone", "rm /etc/localtime", "UTC"},
    {"Release",           "guest-get-osinfo",   "echo NAME=new > /etc/new; mv /etc/new /etc/os-release", "\"new\""},
    {"NoRelease",         "guest-get-osinfo",   "rm /etc/os-release", "Debian GNU/Linux"},
    {"FirstLogin",        "guest-get-users",    "printf '' > /run/utmp; head -c 384 /mnt/login >> /run/utmp", "ada"},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(, OneChild, testing::ValuesIn(kReplacements), case_name<Replacement>);

// Whether it was changed once more would not show.
TEST_F(ReplacedFiles, WhatWasChangedInTheLastTwoSecondsAChildTellsOnce) {
    const pid_t inspector = inspector_of(*agent_);
    for (int round = 0; round < 20; ++round) {
        std::vector<pid_t> first;
        ASSERT_TRUE(eventually([&] {
            const std::time_t began = std::time(nullptr);
            shell("echo NAME=young > /etc/os-release");
            EXPECT_EQ(name(), "young");
            first = children_of(inspector);
            return std::time(nullptr) - began < 2;
        }));
        EXPECT_EQ(name(), "young");
        ASSERT_NE(children_of(inspector), first) << round;
    }
}

// Each takes a new child as long as the files are young; those that were killed for it are waited for.
TEST_F(ReplacedFiles, ManyRequestsInARowAreAllAnswered) {
    std::string asked;
    for (int at = 0; at < 200; ++at) asked += command("guest-get-timezone") + command("guest-get-osinfo");
    host_->send(asked);
    for (int at = 0; at < 200; ++at) {
        EXPECT_NE(host_->line().find("KST"), std::string::npos);
        EXPECT_NE(host_->line().find("the first"), std::string::npos);
    }
}

}  // namespace
}  // namespace sallyport::test
