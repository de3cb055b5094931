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
    /// A file for the host, whose rule's hours go on for an hour.
    std::int64_t open_for(const char* path, const char* mode) {
        ipc::Request request;
        request.mutable_file_open()->set_path(path);
        request.mutable_file_open()->set_mode(mode);
        EXPECT_TRUE(stage_.worker().is_done(ask(request)));
        return handles().rbegin()->first;
    }
    std::uint64_t begin_read(std::int64_t handle) {
        ipc::Request request;
        request.mutable_file_read()->set_handle(handle);
        request.mutable_file_read()->set_count(6 * kChunk);
        return ask(request);
    }
    /// So much is to be written; the worker has the first part ready.
    std::uint64_t begin_write(std::int64_t handle, std::uint32_t size) {
        ipc::Request request;
        request.mutable_file_write()->set_handle(handle);
        request.mutable_bulk()->set_total(size);
        request.mutable_bulk()->mutable_first()->set_size(kChunk);
        return ask(request);
    }
    /// The worker has used a part of a read, or has filled one of a write.
    void use_part(std::uint64_t seq) {
        ipc::Request used;
        used.set_seq(seq);
        used.mutable_chunk_used();
        stage_.send(used);
    }
    void fill_part(std::uint64_t seq) {
        ipc::Request filled;
        filled.set_seq(seq);
        filled.mutable_chunk_filled()->mutable_data()->set_size(kChunk);
        stage_.send(filled);
    }
    /// That the transfer has ended after so many bytes.
    void expect_ended_after(std::size_t bytes) {
        EXPECT_EQ(stage_.worker().unanswered(), 0U);
        EXPECT_TRUE(says_log("meanwhile the rule has expired, or its hours are over"));
        EXPECT_TRUE(says_log("\"bytes\":" + std::to_string(bytes))) << stage_.recorder.log();
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

// The host reads some of it within the hours, and the rest when it likes.
TEST_F(BrokerLoopWithHours, AReadThatTheHostHoldsBackEndsWithTheHoursOfItsRule) {
    const std::int64_t handle = open_for("/work/c", "r");
    const std::uint64_t seq = begin_read(handle);
    use_part(seq);
    EXPECT_EQ(stage_.worker().unanswered(), 1U) << "within the hours it goes on";
    set_wall_offset(2 * kHour);
    use_part(seq);
    expect_ended_after(5 * kChunk);
    EXPECT_TRUE(stage_.worker().is_done(seq)) << "a short read";
    EXPECT_FALSE(is_read(handle));
    stage_.finish();
}

TEST_F(BrokerLoopWithHours, NorIsAFileReadAnyFurtherThatTheBrokerItselfHolds) {
    const std::int64_t handle = open_for("/work/large", "w+");
    for (int at = 0; at < 6; ++at) ASSERT_TRUE(stage_.worker().is_done(begin_write(handle, kChunk)));
    ipc::Request seek;
    seek.mutable_file_seek()->set_handle(handle);
    seek.mutable_file_seek()->mutable_whence()->set_code(0);
    ASSERT_TRUE(stage_.worker().is_done(ask(seek)));
    const std::uint64_t seq = begin_read(handle);
    EXPECT_EQ(stage_.worker().unanswered(), 1U);
    set_wall_offset(2 * kHour);
    use_part(seq);
    expect_ended_after(4 * kChunk);
    stage_.finish();
}

// The clock is looked at when the clerk reports: nothing has come from the worker since.
TEST_F(BrokerLoopWithHours, AReadEndsWithTheHoursOfItsRuleThoughItsWorkerSaysNothing) {
    const std::int64_t handle = open_for("/work/c", "r");
    stage_.files.is_stuck = true;
    begin_read(handle);
    EXPECT_EQ(stage_.worker().unanswered(), 1U);
    set_wall_offset(2 * kHour);
    stage_.files.is_stuck = false;
    stage_.settle();
    expect_ended_after(kChunk);
    stage_.finish();
}

// A worker that was taken over holds the parts back.
TEST_F(BrokerLoopWithHours, AWriteThatIsHeldBackEndsWithTheHoursOfItsRule) {
    const std::int64_t handle = open_for("/work/new", "w");
    const std::uint64_t seq = begin_write(handle, 4 * kChunk);
    fill_part(seq);
    EXPECT_EQ(stage_.worker().unanswered(), 1U);
    set_wall_offset(2 * kHour);
    fill_part(seq);
    expect_ended_after(2 * kChunk);
    EXPECT_FALSE(stage_.worker().is_done(seq));
    stage_.finish();
}

}  // namespace
}  // namespace sallyport::fuzz
