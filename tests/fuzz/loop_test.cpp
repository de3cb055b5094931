// The broker's loop, from the frames of a worker to its line in the log, where two things are under way at once.
#include <gtest/gtest.h>

#include <array>

#include "ipc/limits.hpp"
#include "tests/fuzz/played_time.hpp"
#include "tests/fuzz/stage.hpp"

namespace sallyport::fuzz {
namespace {

class BrokerLoop : public testing::Test {
protected:
    explicit BrokerLoop(Stage::Terms terms = {}) : stage_(terms) { stage_.greet(); }

    /// The worker asks for one of the commands that have no arguments.
    template <typename Command>
    std::uint64_t ask(Command command) {
        ipc::Request request;
        (void)(request.*command)();
        request.set_seq(stage_.worker().last_seq() + 1);
        stage_.send(request);
        return request.seq();
    }
    void ask_about(CommandId command) {
        ipc::Request request;
        request.mutable_inspect()->set_command(static_cast<std::uint32_t>(command));
        request.set_seq(stage_.worker().last_seq() + 1);
        stage_.send(request);
    }
    void guard_acts() {
        Draw first_choices({});
        ASSERT_TRUE(stage_.guard.act(first_choices));
        stage_.settle();
    }
    void guard_thaws_by_itself() {
        // It leaves its orders where they are, and its time is up.
        const std::array<std::uint8_t, 2> choices{3, 0};
        Draw draw(choices);
        ASSERT_TRUE(stage_.guard.act(draw));
        stage_.settle();
    }
    void launcher_acts() {
        ASSERT_TRUE(stage_.launcher.is_busy());
        Draw first_choices({});
        stage_.launcher.act(first_choices);
        stage_.settle();
    }
    void launcher_fails() {
        constexpr std::array<std::uint8_t, 1> kSecondChoice{1};
        Draw draw(kSecondChoice);
        stage_.launcher.act(draw);
        stage_.settle();
    }
    void freeze() {
        ask(&ipc::Request::mutable_fsfreeze_freeze);
        guard_acts();
        guard_acts();
        ASSERT_TRUE(stage_.worker().knows_frozen());
    }
    /// With status 1, and the reason is in the log, once.
    void expect_ended_for(const std::string& reason) {
        EXPECT_EQ(stage_.exit_status(), 1);
        stage_.finish();
        EXPECT_EQ(lines_about("stop"), 1);
        EXPECT_NE(stage_.recorder.log().find("\"reason\":\"" + reason + "\""), std::string::npos)
            << stage_.recorder.log();
    }
    void replace_worker() {
        stage_.end_worker(true);
        stage_.worker();
        stage_.greet();
    }
    /// Opens a file whose name takes a lot of room in the log, or little.
    void open_file(std::size_t bytes) {
        ipc::Request request;
        request.mutable_file_open()->set_path("/work/" + std::string(bytes, '\x01'));
        request.mutable_file_open()->set_mode("w");
        request.set_seq(stage_.worker().last_seq() + 1);
        stage_.send(request);
    }
    /// The recorder's disk takes nothing, and there is room for a few lines more before nothing is carried out.
    void leave_little_room() {
        stage_.recorder.is_stuck = true;
        const std::size_t left = 4 * kMaxLogLine + kManyLines * kLeastLine / 2;
        while (stage_.recorder.room() > left + kMaxLogLine) open_file(kMaxPath - 10);
        while (stage_.recorder.room() > left) open_file(1);
    }
    /// As many lines as a worker can cause at once while a freeze is under way.
    void ask_for_thaws() {
        for (int at = 0; at < kManyLines; ++at) ask(&ipc::Request::mutable_fsfreeze_thaw);
    }
    static constexpr int kManyLines = 60;
    static constexpr std::size_t kLeastLine = 200;
    [[nodiscard]] long lines_about(std::string_view what) const {
        const std::string wanted = "\"what\":\"" + std::string(what) + "\"";
        const std::string& log = stage_.recorder.log();
        long count = 0;
        for (std::size_t at = log.find(wanted); at != log.npos; at = log.find(wanted, at + 1)) ++count;
        return count;
    }
    Stage stage_;
};

class BrokerLoopWithHooks : public BrokerLoop {
protected:
    BrokerLoopWithHooks() : BrokerLoop({.has_hooks = true}) {}
};

TEST_F(BrokerLoop, KeepsTheLineOfAFreezeWhoseWorkerFillsTheMemoryForLines) {
    leave_little_room();
    ask(&ipc::Request::mutable_fsfreeze_freeze);
    guard_acts();
    ask_for_thaws();
    guard_acts();
    stage_.finish();
    EXPECT_EQ(lines_about("guest-fsfreeze-freeze"), 1);
    EXPECT_LT(lines_about("guest-fsfreeze-thaw"), kManyLines) << "the memory for lines was not full";
}

TEST_F(BrokerLoop, FreezesNothingAfterAThawThatCameBeforeTheGuardHadListed) {
    ipc::Request list;
    list.mutable_fsfreeze_freeze_list()->mutable_mountpoints()->add_item("/a");
    list.set_seq(stage_.worker().last_seq() + 1);
    stage_.send(list);
    ask(&ipc::Request::mutable_fsfreeze_thaw);
    guard_acts();
    guard_acts();
    EXPECT_FALSE(stage_.guard.is_busy());
    EXPECT_EQ(stage_.worker().unanswered(), 0U);
    stage_.finish();
}

TEST_F(BrokerLoopWithHooks, FreezesNothingAfterAThawThatCameBeforeTheseHadEnded) {
    ask(&ipc::Request::mutable_fsfreeze_freeze);
    ask(&ipc::Request::mutable_fsfreeze_thaw);
    launcher_acts();
    guard_acts();
    EXPECT_FALSE(stage_.guard.is_busy());
    EXPECT_EQ(stage_.worker().unanswered(), 0U);
    stage_.finish();
}

TEST_F(BrokerLoopWithHooks, AThawThatTheGuardIsSlowToAnswerIsAnsweredBeforeTheNextFreezeBegins) {
    ask(&ipc::Request::mutable_fsfreeze_freeze);
    ask(&ipc::Request::mutable_fsfreeze_thaw);
    launcher_fails();
    launcher_acts();  // the hooks after the thaw
    replace_worker();
    ask(&ipc::Request::mutable_fsfreeze_freeze);
    EXPECT_EQ(stage_.worker().unanswered(), 0U);
    guard_acts();
    const std::uint64_t thaw = ask(&ipc::Request::mutable_fsfreeze_thaw);
    EXPECT_TRUE(stage_.worker().is_done(thaw));
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

TEST_F(BrokerLoop, TakesAReportAboutAnEarlierFreezeForNoThawOfThePresentOne) {
    ask(&ipc::Request::mutable_fsfreeze_freeze);
    guard_acts();
    guard_acts();
    // The guard thaws by itself, and an order to thaw crosses its report.
    ask(&ipc::Request::mutable_fsfreeze_thaw);
    guard_thaws_by_itself();
    ask(&ipc::Request::mutable_fsfreeze_freeze);
    guard_acts();  // says that all is thawed: what was frozen before
    guard_acts();
    EXPECT_TRUE(stage_.worker().knows_frozen());
    stage_.finish();
}

TEST_F(BrokerLoop, WritesTheLineOfATrimThatIsStillUnderWayWhenItIsToldToStop) {
    ask(&ipc::Request::mutable_fstrim);
    stage_.stop();
    stage_.finish();
    EXPECT_EQ(lines_about("guest-fstrim"), 1);
}

TEST_F(BrokerLoop, WritesTheLineOfAQueryThatIsStillUnderWayWhenItIsToldToStop) {
    ask_about(CommandId::kGetTime);
    stage_.stop();
    stage_.finish();
    EXPECT_EQ(lines_about("guest-get-time"), 1);
}

TEST_F(BrokerLoop, WritesTheLineOfATransferOnceThoughItsWorkerBreaksTheContract) {
    ask_about(CommandId::kGetTime);
    ask_about(CommandId::kGetUsers);  // before the reply
    replace_worker();
    EXPECT_EQ(lines_about("guest-get-time"), 1);
    EXPECT_EQ(lines_about("violation"), 1);
    stage_.finish();
}

// How it ends: by what its peers say, or do not say any more. Each time with status 1, and its reason in the log.
class EndOfTheBroker : public BrokerLoop {
protected:
    void TearDown() override {
        EXPECT_EQ(stage_.exit_status(), 1);
        stage_.finish();
        const std::string line = "\"what\":\"stop\",\"reason\":\"" + reason_ + "\"";
        EXPECT_NE(stage_.recorder.log().find(line), std::string::npos) << stage_.recorder.log();
        EXPECT_EQ(lines_about("stop"), 1);
    }
    static ipc::NurseryReply end_of(std::uint64_t worker) {
        ipc::NurseryReply report;
        report.mutable_worker_ended()->set_id(worker);
        return report;
    }
    std::string reason_;
};

TEST_F(EndOfTheBroker, ComesWithTheNurserys) {
    reason_ = "the nursery is lost";
    stage_.lose_nursery();
}

TEST_F(EndOfTheBroker, ComesWhenTheNurseryReportsTheEndOfAWorkerThatIsNone) {
    reason_ = "the nursery broke its contract";
    stage_.say_as_nursery(end_of(stage_.worker().number() + 1));
}

TEST_F(EndOfTheBroker, ComesWhenTheNurserySaysTwiceThatItIsReady) {
    reason_ = "the nursery broke its contract";
    ipc::NurseryReply ready;
    ready.mutable_nursery_ready();
    stage_.say_as_nursery(ready);
}

TEST_F(EndOfTheBroker, ComesWithTheLaunchers) {
    reason_ = "the launcher is lost";
    stage_.launcher.socket.reset();
    stage_.settle();
}

TEST_F(EndOfTheBroker, ComesWhenTheLauncherSaysTwiceThatItIsReady) {
    reason_ = "the launcher broke its contract";
    ask(&ipc::Request::mutable_suspend_ram);
    ipc::LauncherReply ready;
    ready.mutable_launcher_ready();
    stage_.launcher.say(ready);
    stage_.settle();
}

TEST_F(EndOfTheBroker, ComesWhenTheLauncherReportsTheEndOfNothing) {
    reason_ = "the launcher broke its contract";
    ipc::LauncherReply outcome;
    outcome.mutable_outcome()->set_kind(ipc::Outcome::DONE);
    stage_.launcher.say(outcome);
    stage_.settle();
}

TEST_F(EndOfTheBroker, ComesWhenThreeWorkersInARowHaveLostTheChannel) {
    constexpr int kLost = 3;
    reason_ = "the channel is lost";
    stage_.end_worker(false, kLost);
    stage_.worker();
    stage_.end_worker(false, kLost);
    stage_.worker();
    stage_.end_worker(false, 0);  // it was there once more
    for (int at = 0; at < 3; ++at) {
        stage_.worker();
        EXPECT_FALSE(stage_.is_over());
        stage_.end_worker(false, kLost);
    }
}

class BrokerLoopWithFiles : public BrokerLoop {
protected:
    /// A file that stays with its clerk. Gives back its handle, and keeps the number of the request.
    std::int64_t open_kept() {
        ipc::Request request;
        request.mutable_file_open()->set_path("/work/c");
        opened_ = ask_for(request);
        EXPECT_TRUE(stage_.worker().is_done(opened_));
        return handles().rbegin()->first;
    }
    std::uint64_t ask_for(ipc::Request request) {
        request.set_seq(stage_.worker().last_seq() + 1);
        stage_.send(request);
        return request.seq();
    }
    std::uint64_t read(std::int64_t handle) {
        ipc::Request request;
        request.mutable_file_read()->set_handle(handle);
        return ask_for(request);
    }
    std::uint64_t write(std::int64_t handle) {
        ipc::Request request;
        request.mutable_file_write()->set_handle(handle);
        request.mutable_bulk()->set_total(3);
        request.mutable_bulk()->mutable_first()->set_size(3);
        return ask_for(request);
    }
    void files_answer() {
        stage_.files.is_stuck = false;
        stage_.settle();
    }
    std::uint64_t opened_ = 0;
};

TEST_F(BrokerLoopWithFiles, KeepsAFileBehindALinkWhereThePolicyAllowsThePlaceAndNoOther) {
    ipc::Request request;
    request.mutable_file_open()->set_path("/work/a");
    for (const char* place : {"/work/b", "/work/deep/er"}) {
        stage_.files.told_place = place;
        EXPECT_TRUE(stage_.worker().is_done(ask_for(request))) << place;
    }
    const std::size_t kept = handles().size();
    for (const char* place :
         {"/elsewhere", "/work/denied/key", "/", "work/b", "/work/../work/b", "/work//b"}) {
        stage_.files.told_place = place;
        const std::uint64_t refused = ask_for(request);
        EXPECT_FALSE(stage_.worker().is_done(refused)) << place;
        EXPECT_EQ(stage_.worker().unanswered(), 0U) << place;
    }
    EXPECT_EQ(handles().size(), kept);
    stage_.finish();
}

TEST_F(BrokerLoopWithFiles, AnswersASeekWhoseFileIsDroppedMeanwhile) {
    const std::int64_t handle = open_kept();
    stage_.files.is_stuck = true;
    ipc::Request seek;
    seek.mutable_file_seek()->set_handle(handle);
    seek.mutable_file_seek()->mutable_whence()->set_code(0);
    ask_for(seek);
    ipc::Request dropped;
    dropped.mutable_reply_dropped()->set_seq(opened_);
    stage_.send(dropped);
    EXPECT_EQ(stage_.worker().unanswered(), 1U);
    files_answer();
    EXPECT_EQ(stage_.worker().unanswered(), 0U);
    stage_.finish();
}

TEST_F(BrokerLoopWithFiles, LosesNoClerkWhenAFileIsClosedThatIsStillReadForAnEarlierWorker) {
    for (std::size_t at = 0; at <= kMaxKeptFiles; ++at) {
        // A worker that has lived long is followed by the next at once, before the read is late.
        stage_.pass_time(120 * Stage::kNsPerSecond);
        const std::int64_t handle = open_kept();
        stage_.files.is_stuck = true;
        read(handle);
        replace_worker();
        ipc::Request close;
        close.mutable_file_close()->set_handle(handle);
        ask_for(close);
        files_answer();
    }
    stage_.finish();
}

TEST_F(BrokerLoopWithFiles, WritesNothingToAFileBesideAWriteThatWasGivenUpAndMayStillBeCarriedOut) {
    ipc::Request request;
    request.mutable_file_open()->set_path("/work/b");
    request.mutable_file_open()->set_mode("r+");
    ASSERT_TRUE(stage_.worker().is_done(ask_for(request)));
    const std::int64_t handle = handles().rbegin()->first;
    stage_.files.is_stuck = true;
    stage_.files.outlives_kills = true;
    const std::uint64_t given_up = write(handle);
    EXPECT_EQ(stage_.worker().unanswered(), 1U);
    stage_.pass_time(2 * kFileTimeoutNs);
    EXPECT_EQ(stage_.worker().unanswered(), 0U);
    EXPECT_FALSE(stage_.worker().is_done(given_up));
    files_answer();
    const std::uint64_t refused = write(handle);
    EXPECT_EQ(stage_.worker().unanswered(), 0U);
    EXPECT_FALSE(stage_.worker().is_done(refused));
    stage_.files.outlives_kills = false;
    stage_.settle();
    EXPECT_TRUE(stage_.worker().is_done(write(handle))) << "now it cannot come any more";
    stage_.finish();
}

TEST_F(BrokerLoopWithFiles, DoesWhatIsDueThoughItsWorkerHasSomethingToSayAllTheTime) {
    const std::int64_t handle = open_kept();
    stage_.files.is_stuck = true;
    read(handle);
    pass_ns(2 * kFileTimeoutNs);
    ask(&ipc::Request::mutable_fsfreeze_thaw);
    EXPECT_EQ(lines_about("guest-file-read"), 1);
    stage_.settle();
    EXPECT_EQ(lines_about("guest-fsfreeze-thaw"), 1);
    stage_.finish();
}

TEST_F(BrokerLoopWithFiles, EndsAReadWithAnErrorWhoseFileIsLostInTheMiddle) {
    ipc::Request request;
    request.mutable_file_read()->set_handle(open_kept());
    request.mutable_file_read()->set_count(6 * kChunk);
    const std::uint64_t seq = ask_for(request);
    stage_.files.is_stuck = true;
    ipc::Request used;
    used.set_seq(seq);
    used.mutable_chunk_used();
    stage_.send(used);
    EXPECT_EQ(stage_.worker().unanswered(), 1U);
    stage_.pass_time(2 * kFileTimeoutNs);
    EXPECT_EQ(stage_.worker().unanswered(), 0U);
    EXPECT_FALSE(stage_.worker().is_done(seq));
    stage_.finish();
}

TEST_F(BrokerLoopWithFiles, EndsWhenTheFilesHandIsLost) {
    stage_.files.socket.reset();
    stage_.settle();
    expect_ended_for("the files hand is lost");
}

TEST_F(BrokerLoopWithFiles, LeavesWhenAllIsThawedThoughTheFilesHandIsLostBeforeThat) {
    freeze();
    stage_.stop();
    stage_.files.socket.reset();
    stage_.settle();
    EXPECT_EQ(stage_.exit_status(), std::nullopt);
    guard_acts();
    EXPECT_EQ(stage_.exit_status(), 0);
    stage_.finish();
    EXPECT_EQ(lines_about("stop"), 1);
}

TEST_F(BrokerLoop, HasAWorkerKilledThatClosesItsSocketAndDoesNotEnd) {
    stage_.let_worker_linger();
    EXPECT_FALSE(stage_.is_worker_to_be_killed()) << "an honest one is about to end";
    stage_.pass_time(Stage::kNsPerSecond);
    EXPECT_TRUE(stage_.is_worker_to_be_killed());
    stage_.finish();
}

TEST_F(BrokerLoop, LeavesWhenAllIsThawedIfTheLauncherIsLostWhileFrozen) {
    freeze();
    stage_.launcher.socket.reset();
    stage_.settle();
    EXPECT_EQ(stage_.exit_status(), std::nullopt) << "the guard thaws, and that is written down";
    guard_acts();
    expect_ended_for("the launcher is lost");
}

TEST_F(BrokerLoop, LeavesByItsFirstDeadlineWhoeverElseIsLostMeanwhile) {
    freeze();
    stage_.stop();
    stage_.pass_time(Stage::kNsPerSecond);
    stage_.launcher.socket.reset();
    stage_.settle();
    EXPECT_EQ(stage_.exit_status(), std::nullopt);
    stage_.pass_time(Stage::kNsPerSecond);
    EXPECT_EQ(stage_.exit_status(), 0);
    guard_acts();
}

TEST_F(BrokerLoop, LeavesInTimeThoughNobodyThawsAndTheLauncherIsLost) {
    freeze();
    stage_.launcher.socket.reset();
    stage_.settle();
    stage_.pass_time();
    EXPECT_EQ(stage_.exit_status(), 1);
    guard_acts();
}

TEST_F(BrokerLoopWithFiles, BeginsNoTransferInAnArenaThatIsStillReadIntoForAnEarlierWorker) {
    const std::int64_t handle = open_kept();
    const std::int64_t other = open_kept();
    stage_.files.is_stuck = true;
    read(handle);
    replace_worker();
    const std::uint64_t refused = read(other);
    EXPECT_EQ(stage_.worker().unanswered(), 0U);
    EXPECT_FALSE(stage_.worker().is_done(refused));
    files_answer();
    EXPECT_TRUE(stage_.worker().is_done(read(other)));
    stage_.finish();
}

}  // namespace
}  // namespace sallyport::fuzz
