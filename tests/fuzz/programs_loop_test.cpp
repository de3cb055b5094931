// The broker's loop and programs that a host starts, where the launcher is played: it says what it should, or, taken over, what it likes.
#include <gtest/gtest.h>

#include <cerrno>

#include "ipc/limits.hpp"
#include "tests/fuzz/stage.hpp"

namespace sallyport::fuzz {
namespace {

class BrokerLoopWithPrograms : public testing::Test {
protected:
    BrokerLoopWithPrograms() : stage_({.has_programs = true}) { stage_.greet(); }

    std::uint64_t ask(ipc::Request request) {
        request.set_seq(stage_.worker().last_seq() + 1);
        stage_.send(request);
        return request.seq();
    }
    std::uint64_t ask_start(std::size_t size = 3) {
        ipc::Request request;
        request.mutable_exec()->set_path("/program");
        request.mutable_exec()->mutable_arg()->add_item(std::string(size, 'w'));
        return ask(request);
    }
    std::uint64_t ask_status(std::uint64_t number) {
        ipc::Request request;
        request.mutable_exec_status()->set_pid(static_cast<std::int64_t>(number));
        return ask(request);
    }
    // The order, as the launcher puts it together.
    ipc::ExecOrder hear_order() {
        std::string bytes;
        for (;;) {
            const auto part = stage_.launcher.next_order();
            EXPECT_TRUE(part && part->has_exec_part());
            if (!part) return {};
            bytes += part->exec_part().data();
            if (part->exec_part().last()) break;
            ipc::LauncherReply more;
            more.mutable_exec_more();
            say(more);
        }
        ipc::ExecOrder order;
        EXPECT_TRUE(order.ParseFromString(bytes));
        return order;
    }
    void say(const ipc::LauncherReply& reply) {
        stage_.launcher.say(reply);
        stage_.settle();
    }
    void say_started(std::uint64_t number, int error = 0) {
        ipc::LauncherReply reply;
        reply.mutable_exec_started()->set_number(number);
        reply.mutable_exec_started()->set_sys_errno(error);
        say(reply);
    }
    static ipc::LauncherReply ended(std::uint64_t number, std::uint32_t out = 0) {
        ipc::LauncherReply reply;
        reply.mutable_exec_ended()->set_number(number);
        reply.mutable_exec_ended()->set_exit_code(0);
        reply.mutable_exec_ended()->set_out_size(out);
        return reply;
    }
    static ipc::LauncherReply gone(std::uint64_t number) {
        ipc::LauncherReply reply;
        reply.set_exec_gone(number);
        return reply;
    }
    static ipc::LauncherReply output(std::uint64_t number, std::uint32_t offset, std::size_t size) {
        ipc::LauncherReply reply;
        reply.mutable_exec_output()->set_number(number);
        reply.mutable_exec_output()->set_offset(offset);
        reply.mutable_exec_output()->set_data(
            std::string(size, static_cast<char>(written_by(static_cast<std::int64_t>(number)))));
        return reply;
    }
    std::uint64_t start() {
        ask_start();
        const auto number = hear_order().number();
        say_started(number);
        return number;
    }
    void replace_worker() {
        stage_.end_worker(true);
        stage_.worker();
        stage_.greet();
    }
    void expect_take(std::uint32_t offset) {
        const auto order = stage_.launcher.next_order();
        ASSERT_TRUE(order && order->has_exec_take());
        EXPECT_EQ(order->exec_take().offset(), offset);
    }
    void expect_stop(const ipc::LauncherReply& reply) {
        say(reply);
        EXPECT_TRUE(stage_.is_over());
    }

    Stage stage_;
};

TEST_F(BrokerLoopWithPrograms, GivesTheNumberWhenItRunsAndTheEndOnce) {
    const auto seq = ask_start();
    const auto number = hear_order().number();
    EXPECT_FALSE(stage_.worker().is_done(seq));
    say_started(number);
    EXPECT_TRUE(stage_.worker().is_done(seq));
    const auto running = ask_status(number);
    EXPECT_FALSE(stage_.worker().is_done(running)) << "it may end at any moment";
    stage_.pass_time(kStatusPatienceNs);
    EXPECT_TRUE(stage_.worker().is_done(running));
    say(ended(number));
    EXPECT_TRUE(stage_.worker().is_done(ask_status(number)));
    const auto drop = stage_.launcher.next_order();
    ASSERT_TRUE(drop);
    EXPECT_EQ(drop->exec_drop(), number);
    say(gone(number));
    EXPECT_FALSE(stage_.is_over());
}

TEST_F(BrokerLoopWithPrograms, TellsTheEndAtOnceToWhoHasAskedBefore) {
    const auto number = start();
    const auto first = ask_status(number);
    say(ended(number, 10));
    EXPECT_FALSE(stage_.worker().is_done(first)) << "what it wrote comes first";
    expect_take(0);
    say(output(number, 0, 10));
    EXPECT_TRUE(stage_.worker().is_done(first));
    EXPECT_TRUE(stage_.launcher.next_order()) << "it may be forgotten";
    say(gone(number));
    const auto killed = start();
    const auto second = ask_status(killed);
    say(gone(killed));
    EXPECT_TRUE(stage_.worker().is_done(second)) << "its supervisor was killed";
    EXPECT_FALSE(stage_.is_over());
}

TEST_F(BrokerLoopWithPrograms, LeavesTheEndToTheNextWorkerIfWhoAskedHasEnded) {
    const auto number = start();
    ask_status(number);
    stage_.end_worker(true);
    stage_.worker();
    stage_.greet();
    say(ended(number));
    EXPECT_TRUE(stage_.worker().is_done(ask_status(number)));
}

TEST_F(BrokerLoopWithPrograms, TellsALongOrderInPartsOfWhichEachIsTakenBeforeTheNext) {
    ask_start(40'000);
    ipc::LauncherReply more;
    more.mutable_exec_more();
    EXPECT_EQ(hear_order().values(0).size(), 40'000U);
    expect_stop(more);  // nothing is left to be told
}

TEST_F(BrokerLoopWithPrograms, AnswersAStartWhoseWorkerHasEndedToNobody) {
    ask_start();
    const auto number = hear_order().number();
    replace_worker();
    say_started(number);
    EXPECT_EQ(stage_.worker().unanswered(), 0U);
    say(ended(number));
    EXPECT_TRUE(stage_.worker().is_done(ask_status(number)));
}

TEST_F(BrokerLoopWithPrograms, RefusesAStartThatTheLauncherDoesNotReportInTime) {
    ask_start();
    const auto number = hear_order().number();
    stage_.pass_time(2 * kExecStartNs + Stage::kNsPerSecond);
    EXPECT_EQ(stage_.worker().unanswered(), 0U);
    // It starts after all: nobody is told, and its result is let go.
    say_started(number);
    say(ended(number));
    const auto drop = stage_.launcher.next_order();
    ASSERT_TRUE(drop);
    EXPECT_EQ(drop->exec_drop(), number);
    say(gone(number));
    EXPECT_FALSE(stage_.is_over());
}

TEST_F(BrokerLoopWithPrograms, GathersTheOutputAndIgnoresWhatAnEarlierWorkerAskedFor) {
    const auto number = start();
    say(ended(number, 10));
    ask_status(number);
    expect_take(0);
    replace_worker();
    say(output(number, 0, 10));
    EXPECT_FALSE(stage_.is_over());
    const auto seq = ask_status(number);
    expect_take(0);
    say(output(number, 0, 4));
    expect_take(4);
    EXPECT_FALSE(stage_.worker().is_done(seq));
    say(output(number, 4, 6));
    EXPECT_TRUE(stage_.worker().is_done(seq));
}

TEST_F(BrokerLoopWithPrograms, AsksABusyLauncherOnceHoweverOftenHostsAskAndGo) {
    const auto one = start();
    const auto other = start();
    say(ended(one, 10));
    say(ended(other, 10));
    for (int times = 0; times < 300; ++times) {
        ask_status(times % 2 == 0 ? one : other);
        replace_worker();
    }
    const auto seq = ask_status(other);
    expect_take(0);
    EXPECT_FALSE(stage_.launcher.next_order());
    say(output(one, 0, 10));
    EXPECT_FALSE(stage_.worker().is_done(seq)) << "that was another program's";
    expect_take(0);
    say(output(other, 0, 10));
    EXPECT_TRUE(stage_.worker().is_done(seq));
}

TEST_F(BrokerLoopWithPrograms, TakesForANewHostWhatAnEarlierOneAskedFor) {
    const auto number = start();
    say(ended(number, 10));
    ask_status(number);
    expect_take(0);
    replace_worker();
    const auto seq = ask_status(number);
    EXPECT_FALSE(stage_.launcher.next_order());
    say(output(number, 0, 10));
    EXPECT_TRUE(stage_.worker().is_done(seq));
}

TEST_F(BrokerLoopWithPrograms, CountsAProgramThatIsNotGoneAgainstThoseAtATime) {
    start();
    const auto second = start();
    say(ended(second));
    ask_start();
    EXPECT_EQ(stage_.worker().unanswered(), 0U) << "refused: something of the second is left";
    EXPECT_FALSE(stage_.launcher.next_order());
    say(gone(second));
    ask_start();
    EXPECT_TRUE(stage_.launcher.next_order());
}

TEST_F(BrokerLoopWithPrograms, CountsAProgramThatWasNotExecutedInTimeUntilItHasGone) {
    start();
    const auto seq = ask_start();
    const auto late = hear_order().number();
    say_started(late, ETIMEDOUT);
    EXPECT_EQ(stage_.worker().unanswered(), 0U);
    EXPECT_FALSE(stage_.worker().is_done(seq));
    EXPECT_FALSE(stage_.worker().is_done(ask_status(late)));
    ask_start();
    EXPECT_FALSE(stage_.launcher.next_order());
    say(gone(late));
    EXPECT_FALSE(stage_.is_over());
    ask_start();
    EXPECT_TRUE(stage_.launcher.next_order());
}

TEST_F(BrokerLoopWithPrograms, TakesOneWhoseSupervisorWasKilledForKilled) {
    const auto number = start();
    say(gone(number));
    EXPECT_FALSE(stage_.is_over());
    EXPECT_TRUE(stage_.worker().is_done(ask_status(number)));
}

TEST_F(BrokerLoopWithPrograms, EndsIfTheLauncherSpeaksOfAProgramThatIsNone) {
    expect_stop(ended(7));
}
TEST_F(BrokerLoopWithPrograms, EndsIfTheLauncherStartsWhatNobodyAskedFor) {
    say_started(7);
    EXPECT_TRUE(stage_.is_over());
}
TEST_F(BrokerLoopWithPrograms, EndsIfTheLauncherEndsAProgramTwice) {
    const auto number = start();
    say(ended(number));
    expect_stop(ended(number));
}
TEST_F(BrokerLoopWithPrograms, EndsIfAProgramIsGoneTwice) {
    const auto number = start();
    say(gone(number));
    expect_stop(gone(number));
}
TEST_F(BrokerLoopWithPrograms, EndsIfAProgramWroteMoreThanItsRuleKeeps) {
    const auto number = start();
    expect_stop(ended(number, 100'001));
}
TEST_F(BrokerLoopWithPrograms, EndsIfAProgramEndedInNoWay) {
    const auto number = start();
    ipc::LauncherReply reply = ended(number);
    reply.mutable_exec_ended()->clear_how();
    expect_stop(reply);
}
TEST_F(BrokerLoopWithPrograms, EndsIfTheLauncherGivesMoreOutputThanThereIs) {
    const auto number = start();
    say(ended(number, 10));
    ask_status(number);
    expect_stop(output(number, 0, 11));
}
// THREAT: the end of a program whose start nobody has reported; its result is told, the start given up, and it would count for ever.
TEST_F(BrokerLoopWithPrograms, EndsIfTheLauncherReportsTheEndOfAProgramThatWasNotStarted) {
    ask_start();
    expect_stop(ended(hear_order().number()));
}
TEST_F(BrokerLoopWithPrograms, EndsIfTheLauncherReportsAStartTwice) {
    const auto number = start();
    say_started(number);
    EXPECT_TRUE(stage_.is_over());
}
TEST_F(BrokerLoopWithPrograms, EndsIfTheLauncherSaysOfAProgramThatRunsThatItWasNotStarted) {
    const auto number = start();
    say_started(number, ENOENT);
    EXPECT_TRUE(stage_.is_over());
}
TEST_F(BrokerLoopWithPrograms, EndsIfTheLauncherGivesAPartTwice) {
    const auto number = start();
    say(ended(number, 10));
    ask_status(number);
    say(output(number, 0, 4));
    expect_stop(output(number, 0, 4));
}
TEST_F(BrokerLoopWithPrograms, EndsIfTheLauncherGivesOutputThatNobodyAskedFor) {
    const auto number = start();
    say(ended(number, 10));
    expect_stop(output(number, 0, 10));
}
TEST_F(BrokerLoopWithPrograms, EndsIfTheLauncherWantsMoreOfAnOrderThatIsNone) {
    ipc::LauncherReply more;
    more.mutable_exec_more();
    expect_stop(more);
}

}  // namespace
}  // namespace sallyport::fuzz
