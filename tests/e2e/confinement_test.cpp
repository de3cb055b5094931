// What the kernel shows of each process while it serves.
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <set>
#include <sstream>

#include "tests/support/agent.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

const std::string kPong = "{\"return\": {}}";
constexpr const char* kNoCapabilities = "0000000000000000";

void expect_no_capabilities(pid_t process, bool with_bounding) {
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
        EXPECT_EQ(status_field(process, set), kNoCapabilities) << set << " of " << name_of(process);
    if (with_bounding) {
        EXPECT_EQ(status_field(process, "CapBnd"), kNoCapabilities) << name_of(process);
    }
}

void expect_confined(pid_t process) {
    for (const char* kind : {"user", "mnt", "net", "ipc", "uts", "pid", "cgroup"})
        EXPECT_NE(namespace_of(process, kind), namespace_of(::getpid(), kind)) << kind;
    EXPECT_TRUE(fs::is_empty("/proc/" + std::to_string(process) + "/root")) << "the root is not empty";
    std::istringstream ids(status_field(process, "Uid"));
    for (uid_t id = 0; ids >> id;) EXPECT_NE(id, 0U);
    expect_no_capabilities(process, true);
    EXPECT_EQ(status_field(process, "NoNewPrivs"), "1");
    EXPECT_EQ(status_field(process, "Seccomp"), "2");
}

TEST(Confinement, WorkerAndNurseryOfRootHoldNothing) {
    Agent agent({});
    HostClient host = agent.connect();
    ASSERT_EQ(host.ask(command("guest-ping")), kPong);
    expect_confined(agent.worker());
    expect_confined(agent.nursery());
    const passwd* user = ::getpwnam("sallyport");
    ASSERT_NE(user, nullptr);
    for (const pid_t process : {agent.worker(), agent.nursery()})
        EXPECT_EQ(std::stoul(status_field(process, "Uid")), user->pw_uid) << name_of(process);
    EXPECT_GT(std::stoi(status_field(agent.worker(), "Seccomp_filters")),
              std::stoi(status_field(agent.nursery(), "Seccomp_filters")));
}

TEST(Confinement, WorkerHasOnlyItsTwoSocketsAndWhatItMade) {
    Agent agent({});
    HostClient host = agent.connect();
    ASSERT_EQ(host.ask(command("guest-ping")), kPong);
    std::size_t sockets = 0;
    for (const std::string& link : list_descriptors(agent.worker())) {
        if (link.starts_with("socket:")) ++sockets;
        const bool is_known = link.starts_with("socket:") || link.find("[eventpoll]") != std::string::npos ||
                              link.find("[timerfd]") != std::string::npos ||
                              link.find("null") != std::string::npos || link == "/";
        EXPECT_TRUE(is_known) << link;
    }
    EXPECT_EQ(sockets, 2U) << "the host's channel and the broker's socket";
}

// Every process of the agent runs.
constexpr const char* kEverything = R"(schema = 1
[[allow]]
id = "all"
commands = ["@file", "@freeze", "@inspect", "@power"]
files = [{ under = "/nonexistent", access = ["read"] }]
freeze = { mounts = ["/nonexistent"] }
modes = ["powerdown"]
)";

std::set<std::string> names_of(const std::vector<pid_t>& processes) {
    std::set<std::string> names;
    for (const pid_t process : processes) names.insert(name_of(process));
    return names;
}

TEST(Confinement, NoProcessOfRootHasTheGroupsOfWhoStartedIt) {
    Agent agent({.policy = kEverything, .before_exec = [] {
                     constexpr std::array<gid_t, 2> kGroups{27, 42};
                     if (::setgroups(kGroups.size(), kGroups.data()) != 0) ::_exit(122);
                 }});
    HostClient host = agent.connect();
    ASSERT_EQ(host.ask(command("guest-ping")), kPong);
    const auto processes = agent.processes();
    for (const pid_t process : processes)
        EXPECT_EQ(status_field(process, "Groups").find_first_of("0123456789"), std::string::npos)
            << name_of(process);
    EXPECT_EQ(names_of(processes).size(), 8U)
        << "broker, files, guard, inspector, launcher, nursery, recorder, worker";
}

TEST(Confinement, WhatIsDeniedForEverHasNoProcess) {
    const std::string denied = R"([[deny]]
id = "no-modes"
commands = ["guest-shutdown"]
modes = ["powerdown"]
[[deny]]
id = "never"
commands = ["guest-suspend-ram", "guest-suspend-disk", "guest-suspend-hybrid", "guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list", "guest-fstrim"]
)";
    Agent agent({.policy = kEverything + denied});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    const auto names = names_of(agent.processes());
    EXPECT_TRUE(names.contains("sallyport-files"));
    EXPECT_FALSE(names.contains("sallyport-guard"));
    EXPECT_FALSE(names.contains("sallyport-launcher"));
    HostClient host = agent.connect();
    EXPECT_EQ(host.ask(command("guest-fsfreeze-status")), "{\"return\": \"thawed\"}");
    EXPECT_NE(host.ask(command("guest-shutdown")).find("\"CommandNotFound\""), std::string::npos);
}

// The hard limit, as /proc shows it.
std::string limit_of(pid_t process, const std::string& what) {
    std::istringstream lines(read_file("/proc/" + std::to_string(process) + "/limits"));
    std::string soft, hard;
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with(what + "  ")) std::istringstream(line.substr(what.size())) >> soft >> hard;
    return hard;
}

TEST(Confinement, WorkerIsLimitedInProcessesFilesAndMemory) {
    Agent agent({});
    HostClient host = agent.connect();
    ASSERT_EQ(host.ask(command("guest-ping")), kPong);
    for (const auto& [what, most] :
         {std::pair{"Max processes", "0"}, std::pair{"Max open files", "16"},
          std::pair{"Max address space", "536870912"}, std::pair{"Max file size", "0"},
          std::pair{"Max core file size", "0"}, std::pair{"Max locked memory", "0"}})
        EXPECT_EQ(limit_of(agent.worker(), what), most) << what;
}

TEST(Confinement, BrokerOfAPolicyOfSyncAndInfoHasNoCapability) {
    Agent agent({.policy = "schema = 1\n[[allow]]\nid = \"floor\"\nwhy = \"nothing else\"\ncommands = "
                           "[\"@sync\", \"@info\"]\n"});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    expect_no_capabilities(agent.broker().pid(), true);
    EXPECT_EQ(status_field(agent.broker().pid(), "NoNewPrivs"), "1");
    EXPECT_EQ(status_field(agent.broker().pid(), "Seccomp"), "2");
}

TEST(Confinement, BrokerOfAPolicyThatReadsAndWritesFilesOfOthersHasNoCapability) {
    Agent agent({.policy = "schema = 1\n[[allow]]\nid = \"w\"\nwhy = \"test\"\ncommands = [\"@file\"]\n"
                           "files = [{ under = \"/\", access = [\"read\", \"write\", \"create\"] }]\n"});
    HostClient host = agent.connect();
    ASSERT_EQ(host.ask(command("guest-ping")), kPong);
    expect_no_capabilities(agent.broker().pid(), true);
    pid_t hand = -1;
    for (const pid_t child : children_of(agent.broker().pid()))
        if (name_of(child) == "sallyport-files") hand = child;
    // CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
    EXPECT_EQ(status_field(hand, "CapEff"), "0000000000000006");
    EXPECT_EQ(status_field(hand, "CapBnd"), kNoCapabilities);
    const auto clerks = children_of(hand);
    ASSERT_EQ(clerks.size(), 1U);
    EXPECT_EQ(status_field(clerks[0], "NoNewPrivs"), "1");
    EXPECT_EQ(std::stoi(status_field(clerks[0], "Seccomp_filters")),
              std::stoi(status_field(hand, "Seccomp_filters")) + 1);
}

TEST(Confinement, AllOfItHoldsForAnOrdinaryUserAsWell) {
    constexpr uid_t kUser = 12345;
    Agent agent({.user = kUser});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(host.ask(command("guest-ping")), kPong);
    expect_confined(agent.worker());
    expect_no_capabilities(agent.broker().pid(), false);
    EXPECT_EQ(status_field(agent.broker().pid(), "Seccomp"), "2");
    EXPECT_EQ(agent.stop(), 0);
}

// What the kernel gives to root in /proc nobody else may trace, look into or have a core file of.
TEST(Confinement, NoProcessIsLookedIntoByOthersOfItsUser) {
    Agent agent(
        {.policy =
             "schema = 1\n[[allow]]\nid = \"all\"\ncommands = [\"@file\", \"@inspect\", \"guest-shutdown\"]\n"
             "files = [{ under = \"$D\", access = [\"read\"] }]\nmodes = [\"halt\"]\n",
         .user = 12345});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(host.ask(command("guest-ping")), kPong);
    std::set<std::string> names;
    for (const pid_t process : agent.processes()) {
        struct stat info{};
        ASSERT_EQ(::stat(("/proc/" + std::to_string(process) + "/maps").c_str(), &info), 0);
        EXPECT_EQ(info.st_uid, 0U) << name_of(process);
        names.insert(name_of(process));
    }
    EXPECT_GE(names.size(), 6U) << "broker, recorder, nursery, worker, inspector, launcher";
}

TEST(Confinement, OrdinaryUserReadsAndWritesHisOwnFiles) {
    Agent agent({.policy = "schema = 1\n[[allow]]\nid = \"w\"\nwhy = \"test\"\ncommands = [\"@file\"]\n"
                           "files = [{ under = \"$D/work\", access = [\"read\", \"write\", \"create\"] }]\n",
                 .prepare = [](const Scratch& scratch) { scratch.make_folder("work"); },
                 .user = 12345});
    HostClient host = agent.connect();
    host.ask(command("guest-file-open",
                     members({{"path", in_quotes(agent.scratch().path("work/new"))}, {"mode", "\"w\""}})));
    EXPECT_EQ(host.ask(command("guest-file-write", R"({"handle":1000,"buf-b64":"aGVsbG8="})")),
              "{\"return\": {\"count\": 5, \"eof\": false}}");
    EXPECT_EQ(read_file(agent.scratch().path("work/new")), "hello");
}

}  // namespace
}  // namespace sallyport::test
