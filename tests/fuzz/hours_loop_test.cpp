// The broker's loop and rules that have hours, while a host sets the clock.
#include <gtest/gtest.h>

#include "tests/fuzz/played_time.hpp"
#include "tests/fuzz/stage.hpp"

namespace sallyport::fuzz {
namespace {

class BrokerLoopWithHours : public testing::Test {
protected:
    explicit BrokerLoopWithHours(bool has_files_elsewhere = true)
        : stage_({.has_work_hours = true, .has_files_elsewhere = has_files_elsewhere}) {
        stage_.greet();
    }
    ~BrokerLoopWithHours() override { set_wall_offset(0); }

    std::uint64_t ask(ipc::Request request) {
        request.set_seq(stage_.worker().last_seq() + 1);
        stage_.send(request);
        return request.seq();
    }
    /// Whether the inspector is asked for the load.
    bool is_load_allowed() {
        ipc::Request request;
        request.mutable_inspect()->set_command(static_cast<std::uint32_t>(CommandId::kGetLoad));
        ask(request);
        const bool is_allowed = stage_.worker().unanswered() != 0;
        stage_.end_worker(true);
        stage_.worker();
        stage_.greet();
        return is_allowed;
    }
    bool is_opened() {
        ipc::Request request;
        request.mutable_file_open()->set_path("/work/a");
        return stage_.worker().is_done(ask(request));
    }
    bool is_read(std::int64_t handle) {
        ipc::Request request;
        request.mutable_file_read()->set_handle(handle);
        const std::uint64_t seq = ask(request);
        EXPECT_EQ(stage_.worker().unanswered(), 0U);
        return stage_.worker().is_done(seq);
    }
    [[nodiscard]] bool says_log(std::string_view text) const {
        return stage_.recorder.log().find(text) != std::string::npos;
    }
    static constexpr std::int64_t kHour = 3600;
    Stage stage_;
};

struct BrokerLoopWithHoursForAllFiles : BrokerLoopWithHours {
    BrokerLoopWithHoursForAllFiles() : BrokerLoopWithHours(false) {}
};

TEST_F(BrokerLoopWithHours, AWindowIsOpenWhileTheClockIsSetIntoItAndClosedWhenItIsSetBack) {
    EXPECT_FALSE(is_load_allowed());
    set_wall_offset(6 * kHour);
    EXPECT_TRUE(is_load_allowed()) << "a clock that is set forward is believed";
    set_wall_offset(0);
    EXPECT_FALSE(is_load_allowed());
}

// One worker serves a device for the whole run, and is greeted once.
TEST_F(BrokerLoopWithHours, AWorkerIsToldOfCommandsThatAreAllowedAtOtherHoursOnly) {
    EXPECT_TRUE(stage_.worker().is_told_of(CommandId::kGetLoad));
    EXPECT_TRUE(stage_.worker().is_told_of(CommandId::kFileOpen));
    EXPECT_FALSE(stage_.worker().is_told_of(CommandId::kExec)) << "which no rule allows";
    EXPECT_FALSE(is_load_allowed());
}

TEST_F(BrokerLoopWithHours, AFileIsOpenedInTheHoursOfItsRuleOnly) {
    EXPECT_TRUE(is_opened());
    set_wall_offset(2 * kHour);
    EXPECT_FALSE(is_opened());
    set_wall_offset(0);
    EXPECT_FALSE(is_opened()) << "by the latest time that was seen they are over";
}

TEST_F(BrokerLoopWithHours, AHandleEndsAtItsFirstUseOutsideTheHoursOfItsRule) {
    ASSERT_TRUE(is_opened());
    const std::int64_t handle = handles().rbegin()->first;
    EXPECT_TRUE(is_read(handle));
    set_wall_offset(2 * kHour);
    EXPECT_FALSE(is_read(handle));
    EXPECT_TRUE(says_log("its hours are over"));
    set_wall_offset(7 * 24 * kHour);
    EXPECT_FALSE(is_read(handle)) << "and does not come back with the next hours";
    stage_.finish();
}

TEST_F(BrokerLoopWithHoursForAllFiles, AHandleIsRefusedOutsideThemAndIsThereAgainInTheNext) {
    ASSERT_TRUE(is_opened());
    const std::int64_t handle = handles().rbegin()->first;
    set_wall_offset(2 * kHour);
    EXPECT_FALSE(is_read(handle));
    EXPECT_FALSE(says_log("its hours are over")) << "the command is refused, nobody looks for the handle";
    set_wall_offset(7 * 24 * kHour);
    EXPECT_TRUE(is_read(handle));
    stage_.finish();
}

}  // namespace
}  // namespace sallyport::fuzz
