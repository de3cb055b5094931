// The launcher alone, asked as the broker asks it, and its setters: on processors and blocks that are files, and with a clock and a hardware
// clock that the test plays. The machine's own are never touched.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>

#include "ipc/limits.hpp"
#include "tests/e2e/guest.hpp"
#include "tests/setters/asked_launcher.hpp"
#include "tests/support/hours.hpp"
#include "tests/support/refused_call.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::test {
namespace {

TEST_F(Setter, TakesProcessorsOfflineAndBackAgain) {
    SettingLauncher launcher(table());
    const SetDone off = launcher.ask(cpus({{1, false}, {2, false}, {3, true}, {0, true}}));
    EXPECT_EQ(off.end(), SetDone::WHOLE);
    EXPECT_EQ(hows(off), Hows(4, SetResult::DONE));
    EXPECT_EQ(devices_->processor(1).front(), '0');
    EXPECT_EQ(devices_->processor(2).front(), '0');
    EXPECT_EQ(devices_->processor(3).front(), '1');
    EXPECT_EQ(hows(launcher.ask(cpus({{1, true}}))), Hows{SetResult::DONE});
    EXPECT_EQ(devices_->processor(1).front(), '1');
    EXPECT_TRUE(eventually([&] { return children_of(launcher.pid()).empty(); }));
}

TEST_F(Setter, LeavesSoManyProcessorsOnlineAsTheRuleSays) {
    SettingLauncher launcher(table());
    EXPECT_EQ(hows(launcher.ask(cpus({{1, false}, {2, false}, {3, false}}))),
              (Hows{SetResult::DONE, SetResult::DONE, SetResult::BEYOND}));
    EXPECT_EQ(devices_->processor(3).front(), '1');
    EXPECT_EQ(hows(launcher.ask(cpus({{3, false}}))), Hows{SetResult::BEYOND});
    EXPECT_EQ(hows(launcher.ask(cpus({{1, true}, {3, false}}))), (Hows{SetResult::DONE, SetResult::DONE}));
}

TEST_F(Setter, EndsAtTheFirstProcessorThatFailsAndSaysWhy) {
    SettingLauncher launcher(table());
    const SetDone fixed = launcher.ask(cpus({{1, false}, {0, false}, {2, false}}));
    EXPECT_EQ(fixed.end(), SetDone::WHOLE);
    EXPECT_EQ(hows(fixed), (Hows{SetResult::DONE, SetResult::CPU_FIXED}));
    EXPECT_EQ(devices_->processor(2).front(), '1');
    const SetDone missing = launcher.ask(cpus({{7, false}}));
    ASSERT_EQ(hows(missing), Hows{SetResult::CPU_DIRECTORY});
    EXPECT_EQ(missing.result(0).sys_errno(), ENOENT);
    devices_->change(": > $C/cpu1/online");
    EXPECT_EQ(hows(launcher.ask(cpus({{1, false}}))), Hows{SetResult::CPU_READ});
}

TEST_F(Setter, GivesAResultForEachBlock) {
    SettingLauncher launcher(table());
    devices_->change("rm $M/memory2/state");
    const SetDone done =
        launcher.ask(blocks({{0, false}, {6, false}, {3, true}, {1, true}, {2, false}, {2, true}}));
    EXPECT_EQ(done.end(), SetDone::WHOLE);
    EXPECT_EQ(hows(done), (Hows{SetResult::DONE, SetResult::BLOCK_MISSING, SetResult::DONE, SetResult::DONE,
                                SetResult::BLOCK_UNSUPPORTED, SetResult::DONE}));
    EXPECT_TRUE(devices_->block(0).starts_with("offline"));
    EXPECT_TRUE(devices_->block(3).starts_with("online"));
    devices_->change("rm -r $M/memory*");
    shell("mount --move /sys/devices/system/memory /mnt");
    shell("mount -t tmpfs none /sys/devices/system/memory");
    EXPECT_EQ(hows(launcher.ask(blocks({{0, false}}))), Hows{SetResult::BLOCK_MISSING});
    shell("umount /sys/devices/system/memory; mount --move /mnt /sys/devices/system/memory");
}

TEST_F(Setter, IsNotNeededForAnEmptyList) {
    SettingLauncher launcher(table());
    for (const ipc::SetOrder& order : {cpus({}), blocks({})}) {
        const SetDone done = launcher.ask(order);
        EXPECT_EQ(done.end(), SetDone::WHOLE);
        EXPECT_EQ(done.result_size(), 0);
    }
}

TEST_F(Setter, SetsTheClockAndThenTheHardwareClock) {
    devices_->with_hardware_clock(true);
    SettingLauncher launcher(table());
    for (const std::int64_t step : {200 * kSecond, -200 * kSecond}) {
        const std::int64_t to = (now_ns() + step) / 1000 * 1000;
        EXPECT_EQ(hows(launcher.ask(clock_to(to))), Hows{SetResult::DONE});
        EXPECT_EQ(clocks_->set_to_ns, to);
        // The machine's own clock has not moved, and that is what the setter reads.
        EXPECT_LE(std::abs(clocks_->written_s - now_ns() / kSecond), 2);
    }
    EXPECT_EQ(clocks_->writes, 2);
    expected_sets_ = 2;
}

TEST_F(Setter, SetsTheClockWhereThereIsNoHardwareClockAndSaysSo) {
    SettingLauncher launcher(table());
    const SetDone done = launcher.ask(clock_to(now_ns() + kSecond));
    EXPECT_EQ(done.end(), SetDone::WHOLE);
    EXPECT_EQ(hows(done), Hows{SetResult::NO_RTC});
    EXPECT_EQ(clocks_->writes, 0);
    expected_sets_ = 1;
}

TEST_F(Setter, SetsTheClockByTheHardwareClockAtTheBeginningOfASecond) {
    devices_->with_hardware_clock(true);
    SettingLauncher launcher(table());
    const std::int64_t hardware = std::time(nullptr) + 100;
    clocks_->hardware_s = hardware;
    EXPECT_EQ(hows(launcher.ask(clock_to({}))), Hows{SetResult::DONE});
    EXPECT_EQ(clocks_->set_to_ns, (hardware + 1) * kSecond);
    EXPECT_EQ(clocks_->writes, 0);
    expected_sets_ = 1;
}

TEST_F(Setter, BelievesNoHardwareClockFurtherThanTheRule) {
    devices_->with_hardware_clock(true);
    SettingLauncher launcher(table());
    for (const std::int64_t away : {310, -310}) {
        clocks_->hardware_s = std::time(nullptr) + away;
        EXPECT_EQ(hows(launcher.ask(clock_to({}))), Hows{SetResult::BEYOND}) << away;
    }
}

TEST_F(Setter, SaysWhichClockFailed) {
    SettingLauncher launcher(table());
    const SetDone none = launcher.ask(clock_to({}));
    ASSERT_EQ(hows(none), Hows{SetResult::RTC_READ});
    EXPECT_EQ(none.result(0).sys_errno(), ENOENT);
    devices_->with_hardware_clock(true);
    clocks_->read_error = EIO;
    EXPECT_EQ(hows(launcher.ask(clock_to({}))), Hows{SetResult::RTC_READ});
    clocks_->write_error = EINVAL;
    EXPECT_EQ(hows(launcher.ask(clock_to(now_ns()))), Hows{SetResult::RTC_WRITE});
    clocks_->set_error = EPERM;
    const SetDone refused = launcher.ask(clock_to(now_ns()));
    ASSERT_EQ(hows(refused), Hows{SetResult::CLOCK});
    EXPECT_EQ(refused.result(0).sys_errno(), EPERM);
    EXPECT_EQ(clocks_->writes, 1) << "a hardware clock is not set where the system's was not";
    expected_sets_ = 2;
}

// A broker that was taken over.

TEST_F(Setter, IsNotStartedForWhatNoRuleCovers) {
    ipc::SetOrder far = cpus({{1, false}});
    far.mutable_vcpus()->mutable_item(0)->set_id(8);
    ipc::SetOrder negative = far;
    negative.mutable_vcpus()->mutable_item(0)->set_id(-1);
    ipc::SetOrder beside = cpus({{1, false}, {9, true}});
    ipc::SetOrder many = cpus({});
    for (std::size_t at = 0; at <= kMaxSetItems; ++at) many.mutable_vcpus()->add_item()->set_id(1);
    ipc::SetOrder largest = blocks({{~std::uint64_t{0}, true}});
    for (const ipc::SetOrder& order :
         {far, negative, beside, many, largest, blocks({{0, false}, {8, false}}), clock_to(-1),
          clock_to(kSettableEndNs), clock_to(std::numeric_limits<std::int64_t>::max()),
          clock_to(std::numeric_limits<std::int64_t>::min()), ipc::SetOrder()})
        SettingLauncher(table()).expect_end(order);
    ipc::LauncherTable without = table();
    without.mutable_sets()->RemoveLast();
    SettingLauncher(without).expect_end(blocks({{0, false}}));
    EXPECT_EQ(devices_->processor(1).front(), '1');
    EXPECT_TRUE(devices_->block(0).starts_with("online"));
}

TEST_F(Setter, IsNotStartedForANumberThatWasUsed) {
    SettingLauncher launcher(table());
    ipc::SetOrder order = cpus({{1, false}});
    order.set_number(5);
    launcher.ask(order);
    order.set_number(4);
    launcher.expect_end(order);
}

TEST_F(Setter, IsNotStartedForAStepBeyondTheRule) {
    SettingLauncher launcher(table());
    for (const std::int64_t step : {301 * kSecond, -302 * kSecond}) {
        const SetDone done = launcher.ask(clock_to(now_ns() + step));
        EXPECT_EQ(done.end(), SetDone::EXPIRED);
        EXPECT_EQ(done.result_size(), 0);
    }
}

TEST_F(Setter, IsNotStartedForARuleThatHasExpiredByTheLatestTimeThatWasSeen) {
    ipc::LauncherTable expired = table();
    const std::int64_t now = std::time(nullptr);
    for (ipc::SetRule& one : *expired.mutable_sets())
        one.mutable_times()->mutable_own()->set_expires(now + 1000);
    expired.set_floor(now + 1000);
    SettingLauncher launcher(expired);
    for (const ipc::SetOrder& order : {clock_to(now_ns()), cpus({{1, false}}), blocks({{0, false}})})
        EXPECT_EQ(launcher.ask(order).end(), SetDone::EXPIRED);
    EXPECT_EQ(devices_->processor(1).front(), '1');
}

TEST_F(Setter, IsNotStartedOutsideTheHoursOfItsRule) {
    constexpr std::int64_t kHour = 3600;
    const std::int64_t now = std::time(nullptr);
    const auto at = [&](std::int64_t from_h, std::int64_t to_h, std::int64_t floor) {
        ipc::LauncherTable timed = table();
        *timed.mutable_sets(1)->mutable_times()->mutable_own()->mutable_when() =
            hours_from(now, from_h * kHour, to_h * kHour);
        timed.set_floor(floor);
        return timed;
    };
    for (const auto& closed : {at(2, 4, 0), at(2, 4, now + 3 * kHour), at(-1, 1, now + 3 * kHour)})
        EXPECT_EQ(SettingLauncher(closed).ask(cpus({{1, false}})).end(), SetDone::EXPIRED);
    EXPECT_EQ(devices_->processor(1).front(), '1');
    EXPECT_EQ(hows(SettingLauncher(at(-1, 1, 0)).ask(cpus({{1, false}}))), Hows{SetResult::DONE});
}

TEST_F(Setter, DoesNotSetTheClockFurtherBackThanTheLatestTimeLets) {
    ipc::LauncherTable ahead = table();
    ahead.set_floor(std::time(nullptr) + 250);  // it was set forwards and back since
    SettingLauncher launcher(ahead);
    EXPECT_EQ(launcher.ask(clock_to(now_ns() - 100 * kSecond)).end(), SetDone::EXPIRED);
    EXPECT_EQ(hows(launcher.ask(clock_to(now_ns() - 10 * kSecond))), Hows{SetResult::NO_RTC});
    expected_sets_ = 1;
}

// Also one that has ended counts against the unit's bound of tasks until it is reaped.
TEST_F(Setter, ThatHasEndedIsReaped) {
    SettingLauncher launcher(table());
    const std::string pid = std::to_string(launcher.pid());
    for (int at = 0; at < 20; ++at) EXPECT_EQ(hows(launcher.ask(cpus({{1, false}}))), Hows{SetResult::DONE});
    std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
    ASSERT_TRUE(children.is_open());
    const auto left = std::distance(std::istream_iterator<pid_t>(children), {});
    EXPECT_LE(left, 2) << "the last two may be on their way";
}

TEST_F(Setter, ThatCannotConfineItselfSetsNothing) {
    SettingLauncher launcher(table(), refuse_landlock);
    for (const ipc::SetOrder& order : {cpus({{1, false}}), blocks({{1, false}}), clock_to(now_ns())}) {
        const SetDone done = launcher.ask(order);
        EXPECT_EQ(done.end(), SetDone::LOST);
        EXPECT_EQ(hows(done), Hows());
    }
    EXPECT_EQ(devices_->processor(1).front(), '1');
    EXPECT_TRUE(devices_->block(1).starts_with("online"));
}

}  // namespace
}  // namespace sallyport::test
