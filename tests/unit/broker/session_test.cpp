#include "broker/serve/session.hpp"

#include <gtest/gtest.h>

#include "broker/serve/workers.hpp"
#include "broker/start/kept_state.hpp"
#include "ipc/limits.hpp"
#include "scratch.hpp"

namespace sallyport::broker {
namespace {

Result<HandleCounter> open_counter(const ScratchDirectory& scratch) {
    starter::KeptHandles handles = TRY(starter::reserve_handles(scratch.fd()));
    return HandleCounter(std::move(handles.lock), handles.first);
}

TEST(HandleCounter, StartsAtTheFirstHandleAndCountsUp) {
    const ScratchDirectory scratch;
    auto counter = open_counter(scratch);
    ASSERT_TRUE(counter);
    EXPECT_EQ(counter->take(), kFirstHandle);
    EXPECT_EQ(counter->take(), kFirstHandle + 1);
}

TEST(HandleCounter, ANumberIsNotUsedAgainAfterARestart) {
    const ScratchDirectory scratch;
    EXPECT_EQ(open_counter(scratch)->take(), kFirstHandle);
    EXPECT_EQ(open_counter(scratch)->take(), kFirstHandle + kHandlesPerRun);
}

TEST(HandleCounter, TakingANumberWritesNothing) {
    const ScratchDirectory scratch;
    auto counter = open_counter(scratch);
    const std::string before = scratch.read("sallyport.state");
    EXPECT_TRUE(counter->take() && counter->take());
    EXPECT_EQ(scratch.read("sallyport.state"), before);
}

TEST(HandleCounter, TheStateDirectoryBelongsToOneBroker) {
    const ScratchDirectory scratch;
    const auto first = open_counter(scratch);
    const auto second = open_counter(scratch);
    ASSERT_FALSE(second);
    EXPECT_TRUE(std::string_view(second.error().what).starts_with("another agent uses this state directory"));
}

TEST(HandleCounter, AFileThatOthersCanOpenIsClosedToThemBeforeItIsLocked) {
    const ScratchDirectory scratch;
    scratch.write("sallyport.state", "");
    const auto state = scratch.path() / "sallyport.state";
    std::filesystem::permissions(state, std::filesystem::perms{0664});
    ASSERT_TRUE(open_counter(scratch));
    EXPECT_EQ(std::filesystem::status(state).permissions(), std::filesystem::perms{0600});
}

struct BadState {
    const char* name;
    std::string content;
};

class HandleCounterRefuses : public testing::TestWithParam<BadState> {};

TEST_P(HandleCounterRefuses, Content) {
    const ScratchDirectory scratch;
    scratch.write("sallyport.state", GetParam().content);
    EXPECT_FALSE(open_counter(scratch));
    EXPECT_EQ(scratch.read("sallyport.state"), GetParam().content);
}

INSTANTIATE_TEST_SUITE_P(, HandleCounterRefuses,
                         testing::Values(BadState{"TooShort", std::string(7, '\x7f')},
                                         BadState{"Zero", std::string(8, '\0')},
                                         BadState{"Negative", std::string(8, '\xff')},
                                         BadState{"UsedUp", std::string(7, '\xff') + "\x7f"}),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(Backoff, TheFirstWorkerIsFollowedAtOnceAndTheRestWithinHalfASecond) {
    Backoff backoff;
    EXPECT_EQ(backoff.after(0), 0);
    int before = 0;
    for (int i = 0; i < 40; ++i) {
        const int pause = backoff.after(0);
        EXPECT_GE(pause, before);
        EXPECT_LE(pause, 500);
        before = pause;
    }
    EXPECT_EQ(before, 500);
}

TEST(Backoff, AWorkerThatLivedWellWipesTheSlate) {
    Backoff backoff;
    for (int i = 0; i < 10; ++i) backoff.after(0);
    EXPECT_EQ(backoff.after(std::int64_t{60} * 1'000'000'000), 0);
}

}  // namespace
}  // namespace sallyport::broker
