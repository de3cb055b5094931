// A worker that was taken over asks for guest-set-time, guest-set-vcpus and guest-set-memory-blocks, skipping its own checks: what the policy
// does not allow is not set. No order of these tests is ever carried out: the launcher is stopped before, or nothing is covered.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include <array>
#include <ctime>

#include "tests/hostile/taken_over.hpp"

namespace sallyport::test {
namespace {

// Nothing of the machine that the tests run on is named: no such processors and blocks are there.
constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read"] }]
[[allow]]
id = "hardware"
commands = ["@hardware"]
time = { max_step = "5m" }
vcpus = { min_online = 1, cpus = "70001-70003" }
memory = { blocks = "900000001-900000003" }
)";

std::string set_time(std::uint64_t seq, std::string_view fields) {
    return wire::seq(seq) + wire::bytes(40, fields);
}
std::string time_of(std::int64_t ns) {
    return wire::signed_number(1, ns);
}
std::string item(std::int64_t number, bool online) {
    return wire::bytes(1, (number == 0 ? "" : wire::signed_number(1, number)) +
                              (online ? wire::number(2, 1) : std::string()));
}
std::string set_vcpus(std::uint64_t seq, std::string_view items) {
    return wire::seq(seq) + wire::bytes(41, items);
}
std::string set_memory_blocks(std::uint64_t seq, std::string_view items) {
    return wire::seq(seq) + wire::bytes(42, items);
}
std::string many(std::size_t count) {
    std::string all;
    for (std::size_t at = 0; at < count; ++at) all += item(70'001, true);
    return all;
}

// Before the agent: none of its processes gets the right to set the machine's clock.
struct WithoutClock {
    WithoutClock() { EXPECT_EQ(::prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0), 0); }
};

class SetOfATakenOverWorker : protected WithoutClock, public TakenOver {
protected:
    SetOfATakenOverWorker() : TakenOver(kPolicy) {}
};

constexpr std::int64_t kMost = 9'223'372'036'854'775'807;

TEST_F(SetOfATakenOverWorker, NumbersThatNoRuleCoversAreRefused) {
    std::uint64_t seq = 1;
    for (const std::int64_t id :
         {std::int64_t{0}, std::int64_t{70'000}, std::int64_t{70'004}, std::int64_t{-1}, kMost, -kMost - 1}) {
        EXPECT_EQ(puppet_.ask(set_vcpus(seq++, item(id, false))).error().reason(), ipc::REFUSED) << id;
        EXPECT_EQ(puppet_.ask(set_vcpus(seq++, item(70'001, false) + item(id, false))).error().reason(),
                  ipc::REFUSED)
            << id;
    }
    for (const std::int64_t index :
         {std::int64_t{0}, std::int64_t{900'000'000}, std::int64_t{900'000'004}, std::int64_t{-1}})
        EXPECT_EQ(puppet_.ask(set_memory_blocks(seq++, item(index, false))).error().reason(), ipc::REFUSED)
            << index;
    EXPECT_EQ(agent_.count_audit("what", "set-ended"), 0U);
    expect_refused(puppet_.ask(set_vcpus(seq, item(4, true))), ipc::REFUSED, seq + 1);
}

TEST_F(SetOfATakenOverWorker, StepsBeyondTheRuleAreRefused) {
    std::uint64_t seq = 1;
    const std::int64_t now = std::int64_t{std::time(nullptr)} * 1'000'000'000;
    constexpr std::int64_t kMinute = 60'000'000'000;
    for (const std::int64_t ns :
         {std::int64_t{1}, now + 6 * kMinute, now - 6 * kMinute, std::int64_t{3'155'759'999'999'999'999}})
        EXPECT_EQ(puppet_.ask(set_time(seq++, time_of(ns))).error().reason(), ipc::REFUSED) << ns;
    EXPECT_EQ(agent_.count_audit("what", "set-ended"), 0U);
    expect_refused(puppet_.ask(set_time(seq, time_of(1))), ipc::REFUSED, seq + 1);
}

TEST_F(SetOfATakenOverWorker, TimeBeforeTheEpochEndsIt) {
    puppet_.send(set_time(1, time_of(-1)));
    expect_violation();
}
TEST_F(SetOfATakenOverWorker, LeastTimeThereIsEndsIt) {
    puppet_.send(set_time(1, time_of(-kMost - 1)));
    expect_violation();
}
TEST_F(SetOfATakenOverWorker, TimeOfTheYear2070EndsIt) {
    puppet_.send(set_time(1, time_of(3'155'760'000'000'000'000)));
    expect_violation();
}
TEST_F(SetOfATakenOverWorker, MoreProcessorsThanAnHonestOnePassesOnEndIt) {
    puppet_.send(set_vcpus(1, many(1025)));
    expect_violation();
}
TEST_F(SetOfATakenOverWorker, MoreBlocksThanAnHonestOnePassesOnEndIt) {
    puppet_.send(set_memory_blocks(1, many(1025)));
    expect_violation();
}
TEST_F(SetOfATakenOverWorker, TimeTwiceEndsIt) {
    puppet_.send(set_time(1, time_of(1) + time_of(2)));
    expect_violation();
}
TEST_F(SetOfATakenOverWorker, TimeThatIsAWordEndsIt) {
    puppet_.send(set_time(1, wire::bytes(1, "now")));
    expect_violation();
}
TEST_F(SetOfATakenOverWorker, ListInTheArenaEndsIt) {
    puppet_.send(wire::seq(1) + wire::bytes(2, wire::bulk(4, 0, 4)) + wire::bytes(41, ""));
    expect_violation();
}
TEST_F(SetOfATakenOverWorker, AnotherRequestWhileOneIsUnderWayEndsItAndWhatWasOrderedIsRecorded) {
    puppet_.send(set_vcpus(1, item(70'001, true)));
    puppet_.send(set_vcpus(2, item(70'002, true)));
    ASSERT_TRUE(puppet_.is_replaced());
    EXPECT_TRUE(eventually([&] { return agent_.count_audit("what", "set-ended") == 1; }));
}

}  // namespace
}  // namespace sallyport::test
