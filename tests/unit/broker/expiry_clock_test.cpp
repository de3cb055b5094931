// The time by which rules expire, whatever is done to the clock.
#include "broker/expiry_clock.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "scratch.hpp"

namespace sallyport::broker {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr policy::WallTime kNoon = 1'800'000'000;

TEST(ExpiryClock, RunsWithTheWallClockWhereNobodySetsThat) {
    ExpiryClock clock(0, {.wall = kNoon, .boottime_ns = 50 * kSecond});
    EXPECT_EQ(clock.now(), kNoon);
    clock.look({.wall = kNoon + 10, .boottime_ns = 60 * kSecond});
    EXPECT_EQ(clock.now(), kNoon + 10);
}

TEST(ExpiryClock, SetForwardAndBackStaysForward) {
    ExpiryClock clock(0, {.wall = kNoon, .boottime_ns = 0});
    clock.look({.wall = kNoon + 86'400, .boottime_ns = kSecond});
    clock.look({.wall = kNoon + 2, .boottime_ns = 2 * kSecond});
    EXPECT_EQ(clock.now(), kNoon + 86'400);
    clock.look({.wall = 0, .boottime_ns = 3 * kSecond});
    EXPECT_EQ(clock.now(), kNoon + 86'400);
}

TEST(ExpiryClock, SetBackGoesOnByTheOtherClock) {
    ExpiryClock clock(0, {.wall = kNoon, .boottime_ns = 7 * kSecond});
    clock.look({.wall = kNoon - 86'400, .boottime_ns = 107 * kSecond});
    EXPECT_EQ(clock.now(), kNoon + 100);
}

TEST(ExpiryClock, BeginsAtTheFloorAndGoesOnFromThere) {
    ExpiryClock clock(kNoon, {.wall = 1'000, .boottime_ns = 5 * kSecond});
    EXPECT_EQ(clock.now(), kNoon);
    clock.look({.wall = 1'060, .boottime_ns = 65 * kSecond});
    EXPECT_EQ(clock.now(), kNoon + 60);
}

TEST(ExpiryClock, RuleThatHasExpiredStaysSo) {
    policy::Policy policy;
    policy.rules.push_back(
        {.id = "a", .where = "p:1", .effect = policy::Effect::kAllow, .expires = kNoon + 100});
    policy.rules[0].commands.add(CommandId::kGetTime);
    policy.narrowed_to.add(CommandId::kGetTime);
    const auto allows = [&](const ExpiryClock& clock) {
        return policy::decide_command(policy, CommandId::kGetTime, clock.now()).is_allowed();
    };
    ExpiryClock clock(0, {.wall = kNoon, .boottime_ns = 0});
    EXPECT_TRUE(allows(clock));
    clock.look({.wall = kNoon + 100, .boottime_ns = kSecond});
    EXPECT_FALSE(allows(clock));
    clock.look({.wall = kNoon, .boottime_ns = 2 * kSecond});
    EXPECT_FALSE(allows(clock));
    EXPECT_FALSE(allows(ExpiryClock(clock.now(), {.wall = kNoon, .boottime_ns = 0}))) << "after a restart";
}

TEST(KeptTime, IsTheFloorOfTheNextStart) {
    const ScratchDirectory scratch;
    auto first = KeptTime::open(scratch.fd());
    ASSERT_TRUE(first);
    EXPECT_EQ(first->floor(), 0);
    ASSERT_TRUE(first->keep(kNoon));
    EXPECT_EQ(KeptTime::open(scratch.fd())->floor(), kNoon);
    ASSERT_TRUE(first->keep(kNoon + 59));
    EXPECT_EQ(KeptTime::open(scratch.fd())->floor(), kNoon) << "not for each request";
    ASSERT_TRUE(first->keep(kNoon + 60));
    EXPECT_EQ(KeptTime::open(scratch.fd())->floor(), kNoon + 60);
    ASSERT_TRUE(first->keep(5));
    EXPECT_EQ(KeptTime::open(scratch.fd())->floor(), kNoon + 60) << "never back";
}

TEST(KeptTime, WhatIsNoTimeIsRefused) {
    const std::int64_t past_the_end = 300'000'000'000;
    const std::int64_t negative = -1;
    for (const std::string& content :
         {std::string("noon"), std::string(reinterpret_cast<const char*>(&past_the_end), 8),
          std::string(reinterpret_cast<const char*>(&negative), 8)}) {
        const ScratchDirectory scratch;
        const UniqueFd file(
            ::openat(scratch.fd().get(), "sallyport.clock", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        ASSERT_EQ(::write(file.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
        EXPECT_FALSE(KeptTime::open(scratch.fd())) << content;
    }
}

}  // namespace
}  // namespace sallyport::broker
