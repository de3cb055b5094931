#include "broker/serve/freezing.hpp"

#include <sys/resource.h>

#include <cerrno>
#include <csignal>

#include "base/clock.hpp"
#include "ipc/limits.hpp"
#include "room.hpp"

namespace sallyport::broker {
namespace {

using Op = ipc::Request;

ipc::GuardReply frozen(std::uint32_t count) {
    ipc::GuardReply report;
    report.mutable_frozen()->set_count(count);
    return report;
}

ipc::GuardReply thawed(std::uint64_t freeze, std::uint32_t count,
                       ipc::Thawed::Cause cause = ipc::Thawed::COMMAND) {
    ipc::GuardReply report;
    report.mutable_thawed()->set_freeze(freeze);
    report.mutable_thawed()->set_count(count);
    report.mutable_thawed()->set_cause(cause);
    return report;
}

/// While it lives no byte can be written into a file.
class NoRoomForFiles {
public:
    NoRoomForFiles() : handler_(::signal(SIGXFSZ, SIG_IGN)) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit none{.rlim_cur = 0, .rlim_max = before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &none);
    }
    ~NoRoomForFiles() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        ::signal(SIGXFSZ, handler_);
    }
    NoRoomForFiles(const NoRoomForFiles&) = delete;
    NoRoomForFiles& operator=(const NoRoomForFiles&) = delete;

private:
    sighandler_t handler_;
    rlimit before_{};
};

class FreezingRequests : public Room {
protected:
    using Room::Room;
    [[nodiscard]] bool is_marked() const { return guard::FrozenMark::is_set(scratch_.fd()).value_or(false); }
    /// Mark, flag and log are as they must be.
    void expect_frozen(bool is_frozen) {
        EXPECT_EQ(session_->freezing.is_frozen, is_frozen);
        EXPECT_EQ(is_marked(), is_frozen);
        EXPECT_EQ(is_log_held(), is_frozen);
    }
    void expect_told(bool is_frozen) {
        const Reply told = reply();
        EXPECT_TRUE(told.has_frozen_state());
        EXPECT_EQ(told.frozen_state().frozen(), is_frozen);
    }
    void freeze() {
        ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
        expect_told(true);
        ASSERT_TRUE(order().has_freeze());
        guard_says(frozen(2));
        ASSERT_EQ(reply().fsfreeze_freeze().count(), 2);
        ASSERT_EQ(lines().size(), 1U);
    }
};

class FreezingWithHooks : public FreezingRequests {
protected:
    FreezingWithHooks() : FreezingRequests("/hooks") {}
    void hooks_end(ipc::Outcome::Kind kind) {
        ipc::Outcome outcome;
        outcome.set_kind(kind);
        conclude_hooks(context(), outcome);
        ASSERT_GE(lines().size(), 1U);
    }
};

TEST_F(FreezingRequests, AFreezeAndAThawAreAnsweredWhenTheGuardHasDoneThem) {
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    expect_frozen(true);
    expect_told(true);
    EXPECT_EQ(order().freeze().freeze(), 1U);
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET) << "before the guard's report";
    EXPECT_TRUE(lines().empty());
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kWaiting);
    guard_says(frozen(2));
    expect_frozen(true);
    EXPECT_EQ(reply().fsfreeze_freeze().count(), 2);
    EXPECT_EQ(lines().size(), 1U);
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_thaw));
    EXPECT_EQ(order().thaw().freeze(), 1U);
    guard_says(thawed(1, 2));
    expect_frozen(false);
    expect_told(false);
    EXPECT_EQ(reply().fsfreeze_thaw().count(), 2);
    EXPECT_EQ(lines().size(), 1U);
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kIdle);
}

TEST_F(FreezingRequests, AFreezeThatFailsLeavesNothingHeld) {
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    expect_told(true);
    ipc::GuardReply failed;
    failed.mutable_freeze_failed()->mutable_error()->set_mount("/a");
    failed.mutable_freeze_failed()->mutable_error()->set_sys_errno(EIO);
    guard_says(failed);
    expect_frozen(false);
    expect_told(false);
    EXPECT_EQ(reply().error().reason(), ipc::MOUNT_FREEZE);
    EXPECT_EQ(lines().size(), 1U);
}

TEST_F(FreezingRequests, NothingThatCouldBeFrozenLeavesNothingHeld) {
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    expect_told(true);
    guard_says(frozen(0));
    expect_frozen(false);
    expect_told(false);
    EXPECT_TRUE(reply().has_fsfreeze_freeze());
}

TEST_F(FreezingRequests, AFreezeThatCannotBeMarkedIsNotBegun) {
    const NoRoomForFiles no_room;
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    expect_frozen(false);
    EXPECT_EQ(reply().error().reason(), ipc::STATE_NOT_SAVED);
    EXPECT_EQ(order().op_case(), ipc::GuardRequest::OP_NOT_SET);
    EXPECT_EQ(lines().size(), 1U);
}

TEST_F(FreezingRequests, AReportAboutAnEarlierFreezeIsIgnored) {
    freeze();
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_thaw));
    guard_says(thawed(1, 2, ipc::Thawed::DEADLINE));
    expect_told(false);
    EXPECT_TRUE(reply().has_fsfreeze_thaw());
    EXPECT_EQ(lines().size(), 2U) << "the guard's own thaw, and the request";
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    expect_told(true);
    guard_says(thawed(1, 0));  // its answer to the order, which crossed its first report
    expect_frozen(true);
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
    EXPECT_TRUE(lines().empty());
}

TEST_F(FreezingRequests, AReportAboutAnEarlierThawDoesNotEndATrim) {
    freeze();
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_thaw));
    guard_says(thawed(1, 2, ipc::Thawed::DEADLINE));
    expect_told(false);
    EXPECT_TRUE(reply().has_fsfreeze_thaw());
    ASSERT_FALSE(ask(&Op::mutable_fstrim));
    guard_says(thawed(1, 0));
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kWaiting);
    ipc::GuardReply last;
    last.mutable_trimmed()->set_last(true);
    guard_says(last);
    EXPECT_TRUE(reply().has_fstrim());
}

TEST_F(FreezingRequests, ATrimOfWhatCannotBeFoundOutIsNoTrimOfNothing) {
    ASSERT_FALSE(ask(&Op::mutable_fstrim));
    ipc::GuardReply last;
    last.mutable_trimmed()->set_last(true);
    last.mutable_trimmed()->mutable_error()->set_step(ipc::MountError::PLAN);
    last.mutable_trimmed()->mutable_error()->set_sys_errno(EIO);
    guard_says(last);
    const Reply said = reply();
    EXPECT_FALSE(said.has_fstrim());
    EXPECT_EQ(said.error().reason(), ipc::SYSTEM);
    EXPECT_EQ(said.error().sys_errno(), EIO);
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("verdict":"fail")")) << log[0];
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kIdle);
}

TEST_F(FreezingRequests, AFreezeWhoseWorkerEndsIsRecordedAndTheNextIsNotAnsweredForIt) {
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    expect_told(true);
    replace_worker();
    EXPECT_TRUE(welcome_.welcome().frozen());
    EXPECT_TRUE(lines().empty());
    guard_says(frozen(2));
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("session":1,"verdict":"allow","what":"guest-fsfreeze-freeze")")) << log[0];
    expect_frozen(true);
}

TEST_F(FreezingRequests, WhatCannotBeThawedHoldsNothingElseIfTheLogIsNotOnIt) {
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    expect_told(true);
    ipc::GuardReply report = thawed(1, 1, ipc::Thawed::DEADLINE);
    report.mutable_thawed()->set_left(1);
    report.mutable_thawed()->set_spares_state(true);
    report.mutable_thawed()->mutable_error()->set_mount("/b");
    report.mutable_thawed()->mutable_error()->set_step(ipc::MountError::THAW);
    guard_says(report);
    const Reply told = reply();
    EXPECT_TRUE(told.frozen_state().frozen() && told.frozen_state().stuck());
    EXPECT_EQ(reply().error().reason(), ipc::MOUNT_THAW);
    EXPECT_TRUE(session_->freezing.is_frozen && is_marked());
    EXPECT_FALSE(is_log_held());
    const auto log = lines();
    ASSERT_EQ(log.size(), 2U);
    EXPECT_TRUE(has(log[0], R"("what":"not-thawed","arguments":{"mount":"/b","left":1})")) << log[0];
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    EXPECT_EQ(reply().error().sys_errno(), EBUSY);
    ASSERT_FALSE(ask(&Op::mutable_fstrim));
    EXPECT_EQ(reply().error().sys_errno(), EBUSY);
    guard_says(report);
    EXPECT_EQ(lines().size(), 3U) << "a reminder, and the two requests";
    guard_says(thawed(1, 1));
    expect_frozen(false);
    expect_told(false);
}

TEST_F(FreezingRequests, AFreezeThatTheGuardDoesNotBeginIsGivenUpAndNothingStaysHeld) {
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    expect_told(true);
    ASSERT_TRUE(order().has_freeze());
    EXPECT_FALSE(end_late_order(context(), boottime_ns()));
    EXPECT_TRUE(end_late_order(context(), boottime_ns() + kGuardTimeoutNs));
    expect_frozen(false);
    expect_told(false);
    EXPECT_EQ(reply().error().sys_errno(), ETIMEDOUT);
    EXPECT_EQ(order().thaw().freeze(), 1U) << "so that nothing is begun later";
    EXPECT_EQ(lines().size(), 1U);
}

TEST_F(FreezingRequests, NothingIsOrderedUntilAGuardThatWasLateHasAnswered) {
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    ASSERT_TRUE(end_late_order(context(), boottime_ns() + kGuardTimeoutNs));
    order();
    order();
    while (reply().result_case() != Reply::RESULT_NOT_SET) {
    }
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    EXPECT_EQ(reply().error().sys_errno(), EBUSY);
    ASSERT_FALSE(ask(&Op::mutable_fstrim));
    EXPECT_EQ(reply().error().sys_errno(), EBUSY);
    EXPECT_EQ(order().op_case(), ipc::GuardRequest::OP_NOT_SET);
    ipc::GuardReply failed;
    failed.mutable_freeze_failed()->mutable_error()->set_sys_errno(ECANCELED);
    guard_says(failed);
    guard_says(thawed(1, 0));
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    EXPECT_EQ(order().freeze().freeze(), 2U);
}

TEST_F(FreezingRequests, WhatTheGuardHasBegunHasNoDeadlineHere) {
    ipc::GuardReply begun;
    begun.mutable_begun();
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    guard_says(begun);
    EXPECT_FALSE(end_late_order(context(), boottime_ns() + 1000 * kGuardTimeoutNs));
    expect_frozen(true);
    guard_says(frozen(0));
    ASSERT_FALSE(ask(&Op::mutable_fstrim));
    guard_says(begun);
    EXPECT_FALSE(end_late_order(context(), boottime_ns() + 1000 * kGuardTimeoutNs));
}

TEST_F(FreezingRequests, ATrimThatTheGuardDoesNotBeginIsGivenUpAndTheNextWaitsForItsEnd) {
    ASSERT_FALSE(ask(&Op::mutable_fstrim));
    EXPECT_TRUE(end_late_order(context(), boottime_ns() + kGuardTimeoutNs));
    EXPECT_EQ(reply().error().sys_errno(), ETIMEDOUT);
    ASSERT_FALSE(ask(&Op::mutable_fstrim));
    EXPECT_EQ(reply().error().sys_errno(), EBUSY);
    ipc::GuardReply last;
    last.mutable_trimmed()->set_last(true);
    guard_says(last);
    ASSERT_FALSE(ask(&Op::mutable_fstrim));
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
}

TEST_F(FreezingRequests, AThawThatTheGuardDoesNotAnswerFailsAndChangesNothing) {
    freeze();
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_thaw));
    EXPECT_TRUE(end_late_order(context(), boottime_ns() + kGuardTimeoutNs));
    EXPECT_EQ(reply().error().sys_errno(), ETIMEDOUT);
    expect_frozen(true);
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_thaw));
    guard_says(thawed(1, 2));
    expect_frozen(false);
    expect_told(false);
    EXPECT_EQ(reply().fsfreeze_thaw().count(), 2);
}

TEST_F(FreezingRequests, AThawThatLeavesSomethingFrozenLeavesAllHeld) {
    freeze();
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_thaw));
    ipc::GuardReply report = thawed(1, 1);
    report.mutable_thawed()->set_left(1);
    report.mutable_thawed()->mutable_error()->set_mount("/b");
    report.mutable_thawed()->mutable_error()->set_step(ipc::MountError::THAW);
    guard_says(report);
    EXPECT_EQ(reply().error().reason(), ipc::MOUNT_THAW);
    expect_frozen(true);
    guard_says(thawed(1, 1));
    expect_frozen(false);
    expect_told(false);
}

TEST_F(FreezingWithHooks, AFreezeIsOrderedWhenTheyHaveEndedWell) {
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    EXPECT_EQ(order().op_case(), ipc::GuardRequest::OP_NOT_SET);
    EXPECT_EQ(hooks_to_begin(*session_), ipc::LauncherRequest::FREEZE);
    hooks_end(ipc::Outcome::DONE);
    EXPECT_TRUE(order().has_freeze());
    expect_frozen(true);
}

TEST_F(FreezingWithHooks, OneThatFailsGivesTheFreezeUp) {
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    expect_told(true);
    EXPECT_EQ(hooks_to_begin(*session_), ipc::LauncherRequest::FREEZE);
    hooks_end(ipc::Outcome::EXITED);
    EXPECT_EQ(order().op_case(), ipc::GuardRequest::OP_NOT_SET);
    expect_frozen(false);
    expect_told(false);
    EXPECT_EQ(reply().error().reason(), ipc::HOOK_FAILED);
    EXPECT_EQ(hooks_to_begin(*session_), ipc::LauncherRequest::THAW);
}

TEST_F(FreezingWithHooks, AThawThatComesWhileTheyRunOvertakesTheFreeze) {
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    expect_told(true);
    EXPECT_EQ(hooks_to_begin(*session_), ipc::LauncherRequest::FREEZE);
    ASSERT_FALSE(ask(&Op::mutable_fsfreeze_thaw));
    EXPECT_TRUE(order().has_thaw());
    hooks_end(ipc::Outcome::DONE);
    EXPECT_EQ(order().op_case(), ipc::GuardRequest::OP_NOT_SET) << "a freeze behind the thaw";
    guard_says(thawed(1, 0));
    expect_frozen(false);
    expect_told(false);
    EXPECT_EQ(reply().error().sys_errno(), ECANCELED);
    EXPECT_TRUE(reply().has_fsfreeze_thaw());
    EXPECT_EQ(lines().size(), 2U);
    EXPECT_EQ(hooks_to_begin(*session_), ipc::LauncherRequest::THAW);
}

}  // namespace
}  // namespace sallyport::broker
