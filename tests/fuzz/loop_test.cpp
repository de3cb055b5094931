// The broker's loop, from the frames of a worker to its line in the log, where two things are under way at once.
#include <gtest/gtest.h>

#include "tests/fuzz/stage.hpp"

namespace sallyport::fuzz {
namespace {

class BrokerLoop : public testing::Test {
protected:
    explicit BrokerLoop(bool has_hooks = false) : stage_(has_hooks) { stage_.greet(); }

    /// The worker asks for one of the commands that have no arguments.
    template <typename Command>
    std::uint64_t ask(Command command) {
        ipc::Request request;
        (void)(request.*command)();
        request.set_seq(stage_.worker().last_seq() + 1);
        stage_.send(request);
        return request.seq();
    }
    void guard_acts() {
        Draw first_choices({});
        ASSERT_TRUE(stage_.guard.act(first_choices));
        stage_.settle();
    }
    void launcher_acts() {
        ASSERT_TRUE(stage_.launcher.is_busy());
        Draw first_choices({});
        stage_.launcher.act(first_choices);
        stage_.settle();
    }
    void replace_worker() {
        stage_.end_worker(true);
        stage_.worker();
        stage_.greet();
    }
    [[nodiscard]] long lines_about(std::string_view what) const {
        const std::string wanted = "\"what\":\"" + std::string(what) + "\"";
        const std::string log = stage_.log();
        long count = 0;
        for (std::size_t at = log.find(wanted); at != log.npos; at = log.find(wanted, at + 1)) ++count;
        return count;
    }
    Stage stage_;
};

class BrokerLoopWithHooks : public BrokerLoop {
protected:
    BrokerLoopWithHooks() : BrokerLoop(true) {}
};

TEST_F(BrokerLoop, KeepsTheLineOfAFreezeWhoseWorkerFillsTheMemoryForLines) {
    ask(&ipc::Request::mutable_fsfreeze_freeze);
    guard_acts();
    for (std::size_t at = 0; at < 2000; ++at) ask(&ipc::Request::mutable_fsfreeze_status);
    guard_acts();
    ask(&ipc::Request::mutable_fsfreeze_thaw);
    guard_acts();
    EXPECT_EQ(lines_about("guest-fsfreeze-freeze"), 1);
    stage_.finish();
}

TEST_F(BrokerLoopWithHooks, StartsHooksOfAFreezeAsSoonAsTheLauncherIsFree) {
    ask(&ipc::Request::mutable_suspend_ram);
    replace_worker();
    ask(&ipc::Request::mutable_fsfreeze_freeze);
    launcher_acts();  // the suspend of the worker before has ended
    EXPECT_TRUE(stage_.launcher.is_busy());
    stage_.finish();
}

TEST_F(BrokerLoop, AnswersASuspendThoughAnEarlierWorkersTrimEndsFirst) {
    ask(&ipc::Request::mutable_fstrim);
    replace_worker();
    ask(&ipc::Request::mutable_suspend_ram);
    guard_acts();
    guard_acts();
    EXPECT_EQ(lines_about("guest-fstrim"), 1);
    EXPECT_EQ(stage_.worker().unanswered(), 1U);
    launcher_acts();
    EXPECT_EQ(stage_.worker().unanswered(), 0U);
    stage_.finish();
}

TEST_F(BrokerLoop, WritesTheLineOfATrimThatIsStillUnderWayWhenItIsToldToStop) {
    ask(&ipc::Request::mutable_fstrim);
    stage_.stop();
    stage_.finish();
    EXPECT_EQ(lines_about("guest-fstrim"), 1);
}

TEST_F(BrokerLoop, WritesTheLineOfAQueryThatIsStillUnderWayWhenItIsToldToStop) {
    ask(&ipc::Request::mutable_get_time);
    stage_.stop();
    stage_.finish();
    EXPECT_EQ(lines_about("guest-get-time"), 1);
}

TEST_F(BrokerLoop, WritesTheLineOfATransferOnceThoughItsWorkerBreaksTheContract) {
    ask(&ipc::Request::mutable_get_time);
    ask(&ipc::Request::mutable_get_users);  // before the reply
    replace_worker();
    EXPECT_EQ(lines_about("guest-get-time"), 1);
    EXPECT_EQ(lines_about("violation"), 1);
    stage_.finish();
}

}  // namespace
}  // namespace sallyport::fuzz
