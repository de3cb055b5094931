// The broker's loop and what a host wants set, where the launcher is played: it says what it should, or, taken over, what it likes.
#include <gtest/gtest.h>

#include "base/clock.hpp"
#include "ipc/limits.hpp"
#include "tests/fuzz/played_time.hpp"
#include "tests/fuzz/stage.hpp"

namespace sallyport::fuzz {
namespace {

using ipc::SetDone;
using ipc::SetResult;

class BrokerLoopWithSettings : public testing::Test {
protected:
    BrokerLoopWithSettings() : stage_({.has_settings = true}) { stage_.greet(); }
    ~BrokerLoopWithSettings() override { set_wall_offset(0); }

    std::uint64_t ask(ipc::Request request) {
        request.set_seq(stage_.worker().last_seq() + 1);
        stage_.send(request);
        return request.seq();
    }
    std::uint64_t ask_cpus(std::initializer_list<std::int64_t> ids) {
        ipc::Request request;
        request.mutable_set_vcpus();
        for (const std::int64_t id : ids) request.mutable_set_vcpus()->add_vcpus()->set_logical_id(id);
        return ask(request);
    }
    std::uint64_t ask_blocks(std::initializer_list<std::uint64_t> numbers) {
        ipc::Request request;
        request.mutable_set_memory_blocks();
        for (const std::uint64_t number : numbers)
            request.mutable_set_memory_blocks()->add_mem_blks()->set_phys_index(number);
        return ask(request);
    }
    std::uint64_t ask_clock(std::optional<std::int64_t> ns = {}) {
        ipc::Request request;
        request.mutable_set_time();
        if (ns) request.mutable_set_time()->set_time(*ns);
        return ask(request);
    }
    ipc::SetOrder hear_order() {
        const auto order = stage_.launcher.next_order();
        EXPECT_TRUE(order && order->has_set());
        return order ? order->set() : ipc::SetOrder();
    }
    static SetDone done(std::uint64_t number, std::initializer_list<SetResult::How> hows,
                        SetDone::End end = SetDone::WHOLE) {
        SetDone done;
        done.set_number(number);
        done.set_end(end);
        for (const SetResult::How how : hows) done.add_result()->set_how(how);
        return done;
    }
    void say(const SetDone& done) {
        ipc::LauncherReply reply;
        *reply.mutable_set_done() = done;
        stage_.launcher.say(reply);
        stage_.settle();
    }
    // It has been answered, with an error, and the launcher was not told of it.
    bool is_refused(std::uint64_t seq) {
        return !stage_.worker().is_done(seq) && stage_.worker().unanswered() == 0 &&
               !stage_.launcher.next_order();
    }
    void expect_stop(const SetDone& done) {
        say(done);
        EXPECT_TRUE(stage_.is_over());
    }
    Stage stage_;
};

TEST_F(BrokerLoopWithSettings, TellsTheHostWhenTheLauncherHasReported) {
    const auto seq = ask_cpus({1, 2});
    const auto order = hear_order();
    EXPECT_EQ(order.vcpus().item_size(), 2);
    EXPECT_FALSE(stage_.worker().is_done(seq));
    say(done(order.number(), {SetResult::DONE, SetResult::DONE}));
    EXPECT_TRUE(stage_.worker().is_done(seq));
}

TEST_F(BrokerLoopWithSettings, RefusesWhatTheLauncherDoesNotReportInTimeAndLaterGoesOn) {
    const auto seq = ask_blocks({1, 2});
    const auto first = hear_order();
    stage_.pass_time(kSetLateMs * kNsPerMs + Stage::kNsPerSecond);
    EXPECT_TRUE(is_refused(seq));
    // Its report comes after all; nobody waits for it.
    say(done(first.number(), {SetResult::DONE}, SetDone::LATE));
    EXPECT_FALSE(stage_.is_over());
    const auto next = ask_blocks({1});
    say(done(hear_order().number(), {SetResult::BLOCK_MISSING}));
    EXPECT_TRUE(stage_.worker().is_done(next));
}

TEST_F(BrokerLoopWithSettings, AnswersASettingWhoseWorkerHasEndedToNobodyAndHasOneAtATime) {
    ask_cpus({1});
    const auto order = hear_order();
    stage_.end_worker(true);
    stage_.worker();
    stage_.greet();
    EXPECT_TRUE(is_refused(ask_cpus({2})));
    say(done(order.number(), {SetResult::DONE}));
    EXPECT_EQ(stage_.worker().unanswered(), 0U);
    EXPECT_FALSE(stage_.is_over());
    ask_cpus({2});
    EXPECT_TRUE(stage_.launcher.next_order());
}

TEST_F(BrokerLoopWithSettings, TakesWhatIsMissingForFailed) {
    for (const SetDone::End end :
         {SetDone::LATE, SetDone::LOST, SetDone::EXPIRED, SetDone::BUSY, SetDone::FAILED}) {
        const auto none = ask_blocks({1, 2});
        say(done(hear_order().number(), {}, end));
        EXPECT_TRUE(is_refused(none)) << end;
    }
    const auto some = ask_cpus({1, 2});
    say(done(hear_order().number(), {SetResult::DONE}, SetDone::LATE));
    EXPECT_TRUE(stage_.worker().is_done(some));
}

// A host sets the clock forwards, a rule expires, the host sets it back.
TEST_F(BrokerLoopWithSettings, RuleThatHasExpiredStaysExpiredWhereverTheClockIsSet) {
    constexpr std::int64_t kBeyond = 3601;
    const std::int64_t now = wall_ns();
    const auto set_clock = [&](std::int64_t offset_s) {
        ask_clock(now + offset_s * Stage::kNsPerSecond);
        say(done(hear_order().number(), {SetResult::DONE}));
        set_wall_offset(offset_s);
    };
    const auto before = ask_cpus({5});
    say(done(hear_order().number(), {SetResult::DONE}));
    EXPECT_TRUE(stage_.worker().is_done(before));
    set_clock(kBeyond);
    EXPECT_TRUE(is_refused(ask_cpus({5}))) << "its rule has expired";
    set_clock(0);
    EXPECT_TRUE(is_refused(ask_cpus({5}))) << "and stays so";
    ask_cpus({4});
    EXPECT_TRUE(stage_.launcher.next_order()) << "what does not expire goes on";
}

// The same without a request while the clock is ahead, but that which sets it back.
TEST_F(BrokerLoopWithSettings, RuleThatExpiredBetweenTwoSettingsStaysExpired) {
    const std::int64_t now = wall_ns();
    set_wall_offset(3601);
    ask_clock(now);
    say(done(hear_order().number(), {SetResult::DONE}));
    set_wall_offset(0);
    EXPECT_TRUE(is_refused(ask_cpus({5})));
}

// A launcher that was taken over.

TEST_F(BrokerLoopWithSettings, EndsIfTheLauncherSpeaksOfAnOrderThatThereIsNot) {
    expect_stop(done(1, {SetResult::DONE}));
}
TEST_F(BrokerLoopWithSettings, EndsIfTheLauncherReportsAnOrderTwice) {
    ask_cpus({1});
    const auto number = hear_order().number();
    say(done(number, {SetResult::DONE}));
    expect_stop(done(number, {SetResult::DONE}));
}
TEST_F(BrokerLoopWithSettings, EndsIfTheLauncherGivesMoreResultsThanThereAreThings) {
    ask_cpus({1});
    expect_stop(done(hear_order().number(), {SetResult::DONE, SetResult::DONE}));
}
TEST_F(BrokerLoopWithSettings, EndsIfTheLauncherGivesMoreResultsThanThereAreThingsAndSaysItWasLate) {
    ask_cpus({1});
    expect_stop(done(hear_order().number(), {SetResult::DONE, SetResult::DONE}, SetDone::LATE));
}
TEST_F(BrokerLoopWithSettings, EndsIfTheLauncherGoesOnBehindAProcessorThatFailed) {
    ask_cpus({1, 2});
    expect_stop(done(hear_order().number(), {SetResult::CPU_WRITE, SetResult::DONE}));
}
TEST_F(BrokerLoopWithSettings, EndsIfTheLauncherGivesTheResultOfAnotherThing) {
    ask_cpus({1});
    expect_stop(done(hear_order().number(), {SetResult::BLOCK_MISSING}));
}
TEST_F(BrokerLoopWithSettings, EndsIfTheLauncherSaysItIsWholeAndItIsNot) {
    ask_blocks({1, 2});
    expect_stop(done(hear_order().number(), {SetResult::DONE}));
}
TEST_F(BrokerLoopWithSettings, EndsIfTheLauncherSaysNoEnd) {
    ask_blocks({1});
    expect_stop(done(hear_order().number(), {}, SetDone::END_UNSPECIFIED));
}

}  // namespace
}  // namespace sallyport::fuzz
