// The time by which rules expire, whatever is done to the clock.
#include "base/clock.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/decide.hpp"

namespace sallyport {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr policy::WallTime kNoon = 1'800'000'000;

TEST(ExpiryClock, RunsWithTheWallClockWhereNobodySetsThat) {
    ExpiryClock clock(0, {.wall = kNoon, .boottime_ns = 50 * kSecond});
    EXPECT_EQ(clock.now().latest, kNoon);
    clock.look({.wall = kNoon + 10, .boottime_ns = 60 * kSecond});
    EXPECT_EQ(clock.now().latest, kNoon + 10);
}

TEST(ExpiryClock, SetForwardAndBackStaysForward) {
    ExpiryClock clock(0, {.wall = kNoon, .boottime_ns = 0});
    clock.look({.wall = kNoon + 86'400, .boottime_ns = kSecond});
    clock.look({.wall = kNoon + 2, .boottime_ns = 2 * kSecond});
    EXPECT_EQ(clock.now().latest, kNoon + 86'400);
    clock.look({.wall = 0, .boottime_ns = 3 * kSecond});
    EXPECT_EQ(clock.now().latest, kNoon + 86'400);
}

TEST(ExpiryClock, SaysBesideTheLatestTimeWhatTheClockSays) {
    ExpiryClock clock(kNoon + 50, {.wall = kNoon, .boottime_ns = 0});
    EXPECT_EQ(clock.now().wall, kNoon);
    EXPECT_EQ(clock.now().latest, kNoon + 50);
    clock.look({.wall = kNoon + 86'400, .boottime_ns = kSecond});
    EXPECT_EQ(clock.now().wall, kNoon + 86'400);
    clock.look({.wall = kNoon + 2, .boottime_ns = 2 * kSecond});
    EXPECT_EQ(clock.now().wall, kNoon + 2);
}

TEST(ExpiryClock, SetBackGoesOnByTheOtherClock) {
    ExpiryClock clock(0, {.wall = kNoon, .boottime_ns = 7 * kSecond});
    clock.look({.wall = kNoon - 86'400, .boottime_ns = 107 * kSecond});
    EXPECT_EQ(clock.now().latest, kNoon + 100);
}

TEST(ExpiryClock, BeginsAtTheFloorAndGoesOnFromThere) {
    ExpiryClock clock(kNoon, {.wall = 1'000, .boottime_ns = 5 * kSecond});
    EXPECT_EQ(clock.now().latest, kNoon);
    clock.look({.wall = 1'060, .boottime_ns = 65 * kSecond});
    EXPECT_EQ(clock.now().latest, kNoon + 60);
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
    EXPECT_FALSE(allows(ExpiryClock(clock.now().latest, {.wall = kNoon, .boottime_ns = 0})))
        << "after a restart";
}

constexpr std::int64_t kDay = 86'400 * kSecond;

/// In a process whose time since boot is a day more, as after a sleep that, by the hardware clock, took a day. The time asleep is told
/// from the difference of the clocks.
int look_after_a_sleep(std::int64_t awake, std::int64_t asleep) {
    if (::unshare(CLONE_NEWTIME) != 0) return 2;
    const int offsets = ::open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    constexpr std::string_view kOffset = "boottime 86400 0\n";
    if (::write(offsets, kOffset.data(), kOffset.size()) != static_cast<ssize_t>(kOffset.size())) return 3;
    const pid_t child = ::fork();  // a child is the first that is in it
    if (child == 0) {
        const std::int64_t more = boottime_ns() - awake_ns() - asleep;
        const bool is_told = more > kDay - kSecond && more < kDay + kSecond;
        const std::int64_t passed = awake_ns() - awake;
        ::_exit(!is_told ? 4 : passed < 0 || passed > kDay / 24 ? 5 : 0);
    }
    int status = -1;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 6;
}

TEST(AwakeTime, DoesNotGoByWhatTheHardwareClockSaysOfASleep) {
    const std::int64_t awake = awake_ns();
    const std::int64_t asleep = boottime_ns() - awake;
    const pid_t child = ::fork();
    if (child == 0) ::_exit(look_after_a_sleep(awake, asleep));
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace sallyport
