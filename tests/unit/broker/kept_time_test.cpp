// The latest time in the state directory: what the recorder writes, and what the next start reads.
#include "broker/start/kept_state.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "broker/recorder/latest_time.hpp"
#include "ipc/limits.hpp"
#include "scratch.hpp"

namespace sallyport::broker {
namespace {

constexpr policy::WallTime kNoon = 1'800'000'000;

policy::WallTime floor_in(const ScratchDirectory& scratch) {
    return starter::open_kept_time(scratch.fd())->floor;
}

Result<recorder::LatestTime> open_latest(const ScratchDirectory& scratch) {
    return recorder::LatestTime::open(std::move(starter::open_kept_time(scratch.fd())->file));
}

TEST(KeptTime, IsTheFloorOfTheNextStartAndNeverRunsBack) {
    const ScratchDirectory scratch;
    EXPECT_EQ(floor_in(scratch), 0);
    auto time = open_latest(scratch);
    ASSERT_TRUE(time);
    EXPECT_EQ(time->keep(kNoon), 0);
    EXPECT_EQ(floor_in(scratch), kNoon);
    EXPECT_EQ(time->keep(kNoon + 60), 0);
    EXPECT_EQ(floor_in(scratch), kNoon + 60);
    EXPECT_EQ(time->keep(5), 0);
    EXPECT_EQ(floor_in(scratch), kNoon + 60) << "never back";
    auto next = open_latest(scratch);
    EXPECT_EQ(next->keep(kNoon), 0);
    EXPECT_EQ(floor_in(scratch), kNoon + 60) << "nor after a restart";
}

TEST(KeptTime, IsReadAgainByWhoGoesOnAfterAnother) {
    const ScratchDirectory scratch;
    auto first = open_latest(scratch);
    auto next = open_latest(scratch);
    ASSERT_TRUE(first && next);
    EXPECT_EQ(first->keep(kNoon + 60), 0);
    next->forget();
    EXPECT_EQ(next->keep(kNoon), 0);
    EXPECT_EQ(floor_in(scratch), kNoon + 60);
    EXPECT_EQ(next->keep(kNoon + 90), 0);
    EXPECT_EQ(floor_in(scratch), kNoon + 90);
}

TEST(KeptTime, WhatTheNextStartWouldRefuseIsNotWritten) {
    const ScratchDirectory scratch;
    auto time = open_latest(scratch);
    EXPECT_EQ(time->keep(kEndOfTime), 0);
    EXPECT_EQ(time->keep(-1), 0);
    EXPECT_EQ(floor_in(scratch), 0);
}

TEST(KeptTime, ThatCannotBeWrittenIsSaid) {
    const ScratchDirectory scratch;
    ASSERT_TRUE(starter::open_kept_time(scratch.fd()));
    auto time = recorder::LatestTime::open(
        UniqueFd(::openat(scratch.fd().get(), "sallyport.clock", O_RDONLY | O_CLOEXEC)));
    EXPECT_EQ(time->keep(kNoon), EBADF);
}

TEST(KeptTime, WhatIsNoTimeIsRefused) {
    const std::int64_t past_the_end = 300'000'000'000;
    const std::int64_t negative = -1;
    for (const std::string& content :
         {std::string("noon"), std::string(reinterpret_cast<const char*>(&past_the_end), 8),
          std::string(reinterpret_cast<const char*>(&negative), 8)}) {
        const ScratchDirectory scratch;
        const UniqueFd file(
            ::openat(scratch.fd().get(), "sallyport.clock", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        ASSERT_EQ(::write(file.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
        EXPECT_FALSE(starter::open_kept_time(scratch.fd())) << content;
    }
}

}  // namespace
}  // namespace sallyport::broker
