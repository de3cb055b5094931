// Transfers that are under way when what let them begin is over.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/clock.hpp"
#include "room.hpp"
#include "tests/support/hours.hpp"

namespace sallyport::broker {
namespace {

constexpr std::int64_t kHour = 3600;

class Transfer : public Room {
protected:
    // In half an hour a rule denies a place; in an hour one denies to read files, and another to write them.
    Transfer() {
        const std::int64_t now = read_clocks().wall;
        for (const CommandId command : {CommandId::kFileRead, CommandId::kFileWrite}) {
            policy::Rule denial{.id = "later", .effect = policy::Effect::kDeny};
            denial.commands.add(command);
            denial.when = test::hours_from(now, kHour, 5 * kHour);
            policy_.rules.push_back(denial);
        }
        policy::Rule of_a_place{.id = "sooner", .effect = policy::Effect::kDeny};
        of_a_place.commands.add(CommandId::kFileOpen);
        of_a_place.files.push_back(policy_.rules[0].files[0]);
        of_a_place.files[0].under = scratch_.path() / "secret";
        of_a_place.when = test::hours_from(now, kHour / 2, 5 * kHour);
        policy_.rules.push_back(of_a_place);
        policy_.rules[0].expires = now + 10 * kHour;
    }
    void pass(std::int64_t seconds) {
        const ClockReading now = read_clocks();
        session_->clock.look({.wall = now.wall + seconds, .boottime_ns = now.boottime_ns});
    }
    std::int64_t open(const char* mode, const char* name = "file") {
        ipc::Request request;
        request.mutable_file_open()->set_path(scratch_.path() / name);
        request.mutable_file_open()->set_mode(mode);
        EXPECT_FALSE(ask(request));
        return reply().file_open().handle();
    }
    /// The parts that are there at once.
    void begin_read(std::int64_t handle) {
        ipc::Request request;
        request.mutable_file_read()->set_handle(handle);
        request.mutable_file_read()->set_count(6 * kChunk);
        EXPECT_FALSE(ask(request));
        for (std::size_t at = 0; at < kChunks; ++at) EXPECT_TRUE(reply().has_more());
    }
    void use_part() {
        ipc::Request used;
        used.set_seq(session_->worker.last_seq);
        used.mutable_chunk_used();
        EXPECT_FALSE(say(used));
    }
};

TEST_F(Transfer, ReadGoesOnWhileTheRuleCounts) {
    scratch_.write("file", std::string(6 * kChunk, 'x'));
    begin_read(open("r"));
    pass(kHour / 2);
    use_part();
    EXPECT_TRUE(reply().has_more());
    use_part();
    EXPECT_EQ(reply().file_read().count(), std::int64_t{6 * kChunk});
}

TEST_F(Transfer, ReadEndsWhenADenyRuleBeginsToCountAndTheHandleIsThereForLater) {
    scratch_.write("file", std::string(6 * kChunk, 'x'));
    const std::int64_t handle = open("r");
    begin_read(handle);
    pass(2 * kHour);
    use_part();
    const Reply ended = reply();
    EXPECT_EQ(ended.file_read().count(), std::int64_t{4 * kChunk});
    EXPECT_FALSE(ended.file_read().eof());
    EXPECT_TRUE(has(lines().back(), "or a deny rule counts"));
    EXPECT_TRUE(session_->files.contains(handle));
    EXPECT_FALSE(session_->worker.read);
}

TEST_F(Transfer, ReadEndsWhenItsRuleHasExpired) {
    scratch_.write("file", std::string(6 * kChunk, 'x'));
    const std::int64_t handle = open("r");
    begin_read(handle);
    pass(11 * kHour);
    use_part();
    EXPECT_EQ(reply().file_read().count(), std::int64_t{4 * kChunk});
    ipc::Request again;
    again.mutable_file_read()->set_handle(handle);
    EXPECT_FALSE(ask(again));
    EXPECT_TRUE(reply().has_error());
}

TEST_F(Transfer, ReadEndsWithItsHandleWhenTheHoursBeginInWhichItsPlaceIsDenied) {
    for (const char* name : {"file", "secret"}) scratch_.write(name, std::string(6 * kChunk, 'x'));
    const std::int64_t other = open("r");
    const std::int64_t handle = open("r", "secret");
    begin_read(handle);
    pass(3 * kHour / 4);
    use_part();
    EXPECT_EQ(reply().file_read().count(), std::int64_t{4 * kChunk});
    for (const std::int64_t one : {handle, other}) {
        ipc::Request flush;
        flush.mutable_file_flush()->set_handle(one);
        EXPECT_FALSE(ask(flush));
        EXPECT_EQ(reply().error().reason(), one == handle ? ipc::BAD_HANDLE : ipc::UNSPECIFIED);
    }
    EXPECT_FALSE(session_->files.contains(handle));
    EXPECT_TRUE(session_->files.contains(other));
}

// Of its two names the one to which the link leads counts, whatever it was opened for.
TEST_F(Transfer, AHandleThatWasGotThroughALinkEndsWhenThePlaceIsDeniedWhereItLies) {
    policy_.rules[0].files[0].follow_symlinks = true;
    policy_.rules.back().files[0].access = {.write = true};
    scratch_.write("secret", "text");
    scratch_.write("file", "text");
    std::filesystem::create_symlink(scratch_.path() / "secret", scratch_.path() / "link");
    const std::int64_t through = open("a", "link");
    const std::int64_t only_read = open("r", "link");
    ASSERT_TRUE(session_->files.contains(through) && session_->files.contains(only_read));
    pass(3 * kHour / 4);
    for (const std::int64_t one : {through, only_read}) {
        ipc::Request flush;
        flush.mutable_file_flush()->set_handle(one);
        EXPECT_FALSE(ask(flush));
        EXPECT_EQ(reply().error().reason(), one == through ? ipc::BAD_HANDLE : ipc::UNSPECIFIED);
    }
}

TEST_F(Transfer, WriteEndsWhenADenyRuleBeginsToCount) {
    scratch_.write("file", "");
    ipc::Request request;
    request.mutable_file_write()->set_handle(open("w"));
    request.mutable_bulk()->set_total(3 * kChunk);
    request.mutable_bulk()->mutable_first()->set_size(kChunk);
    EXPECT_FALSE(ask(request));
    EXPECT_TRUE(reply().has_chunk_used());
    pass(2 * kHour);
    ipc::Request filled;
    filled.set_seq(session_->worker.last_seq);
    filled.mutable_chunk_filled()->mutable_data()->set_size(kChunk);
    EXPECT_FALSE(say(filled));
    EXPECT_EQ(reply().error().reason(), ipc::REFUSED);
    EXPECT_EQ(scratch_.read("file").size(), kChunk);
    EXPECT_FALSE(say(filled)) << "the last part is under way, and means nothing";
    EXPECT_EQ(scratch_.read("file").size(), kChunk);
}

}  // namespace
}  // namespace sallyport::broker
