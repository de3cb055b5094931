// Hosts poll for years: nothing may grow by it.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>

#include "tests/e2e/guest.hpp"

namespace sallyport::test {
namespace {

constexpr std::array kAll{
    "guest-get-time",          "guest-get-host-name",
    "guest-get-timezone",      "guest-get-osinfo",
    "guest-get-users",         "guest-get-load",
    "guest-get-cpustats",      "guest-get-vcpus",
    "guest-get-fsinfo",        "guest-get-disks",
    "guest-get-diskstats",     "guest-network-get-interfaces",
    "guest-get-memory-blocks", "guest-get-memory-block-info",
    "guest-network-get-route",
};
constexpr int kWarmUp = 20;

constexpr int kRounds = 100'000 / int{kAll.size()} + 1;

struct Held {
    std::size_t memory = 0;
    std::size_t descriptors = 0;
    std::size_t processes = 0;
};

// Of an agent whose inspector has closed all that it had open for a child, but for `own`, and whose broker has heard so: it hears that before
// it hears the second ping.
Held held(Agent& agent, HostClient& host, std::size_t own) {
    Held sum;
    EXPECT_TRUE(eventually([&] {
        return children_of(inspector_of(agent)).empty() && count_descriptors(inspector_of(agent)) == own;
    }));
    for (int pings = 0; pings < 2; ++pings) EXPECT_EQ(class_of(host.ask(command("guest-ping"))), "");
    for (const pid_t process : agent.processes()) {
        sum.memory += own_memory_kib(process);
        sum.descriptors += count_descriptors(process);
        ++sum.processes;
    }
    return sum;
}

void poll(HostClient& host, int times) {
    for (int at = 0; at < times; ++at)
        for (const char* name : kAll) ASSERT_NE(class_of(host.ask(command(name))), "CommandNotFound") << name;
}

TEST(Polling, LeavesMemoryAndDescriptorsFlat) {
    enter_own_guest();
    Agent agent({.policy = std::string(kLook)});
    HostClient host = agent.connect();
    const std::size_t own = count_descriptors(inspector_of(agent));
    poll(host, kWarmUp);
    const Held before = held(agent, host, own);
    poll(host, kRounds);
    const Held after = held(agent, host, own);
    EXPECT_EQ(after.descriptors, before.descriptors);
    EXPECT_EQ(after.processes, before.processes);
    EXPECT_LE(after.memory, before.memory + 512);
    std::printf("%d polls: %zu KiB before, %zu KiB after\n", kRounds * int{kAll.size()}, before.memory,
                after.memory);
}

}  // namespace
}  // namespace sallyport::test
