#include "worker/journal.hpp"

#include <gtest/gtest.h>

#include <array>

#include "ipc/limits.hpp"

namespace sallyport::worker {
namespace {

class JournalPage : public testing::Test {
protected:
    Owed successor() { return Journal(page_).take_over(); }
    alignas(8) std::array<std::byte, kArenaHeader> page_{};
};

TEST_F(JournalPage, WipedOwesNothing) {
    const Owed owed = successor();
    EXPECT_FALSE(owed.half_line);
    EXPECT_EQ(owed.replies, 0U);
    EXPECT_FALSE(owed.skip_line);
}

TEST_F(JournalPage, AnsweredRequestsAreNotOwed) {
    Journal journal(page_);
    journal.take_over();
    journal.take();
    journal.take();
    journal.begin_write();
    journal.end_write(2, true);
    EXPECT_EQ(journal.owed(), 0U);
    const Owed owed = successor();
    EXPECT_FALSE(owed.half_line);
    EXPECT_EQ(owed.replies, 0U);
}

TEST_F(JournalPage, TakenRequestsAreOwedALineEach) {
    Journal journal(page_);
    journal.take_over();
    for (int at = 0; at < 3; ++at) journal.take();
    EXPECT_EQ(journal.owed(), 3U);
    EXPECT_EQ(successor().replies, 3U);
}

TEST_F(JournalPage, HalfALineSettlesItsRequest) {
    Journal journal(page_);
    journal.take_over();
    journal.take();
    journal.take();
    journal.begin_write();
    journal.end_write(0, false);
    const Owed owed = successor();
    EXPECT_TRUE(owed.half_line);
    EXPECT_EQ(owed.replies, 1U);
}

TEST_F(JournalPage, AKillInsideWriteCountsAsHalfALine) {
    Journal journal(page_);
    journal.take_over();
    journal.take();
    journal.begin_write();
    const Owed owed = successor();
    EXPECT_TRUE(owed.half_line);
    EXPECT_EQ(owed.replies, 0U);
}

TEST_F(JournalPage, AValueThatIsLostIsOwedALineAndItsRestIsSkipped) {
    Journal journal(page_);
    journal.take_over();
    journal.input_stopped(Stopped::kInsideLine);
    const Owed owed = successor();
    EXPECT_EQ(owed.replies, 1U);
    EXPECT_TRUE(owed.skip_line);
}

TEST_F(JournalPage, AValueThatWasReadToItsLineEndHasNoRestToSkip) {
    Journal journal(page_);
    journal.take_over();
    journal.input_stopped(Stopped::kAtLineEnd);
    const Owed owed = successor();
    EXPECT_EQ(owed.replies, 1U);
    EXPECT_FALSE(owed.skip_line);
}

TEST_F(JournalPage, SkippingIsGoneOnWithAndOwesNothing) {
    Journal journal(page_);
    journal.take_over();
    journal.input_stopped(Stopped::kSkipping);
    const Owed owed = successor();
    EXPECT_EQ(owed.replies, 0U);
    EXPECT_TRUE(owed.skip_line);
}

TEST_F(JournalPage, ASuccessorThatCrashesAtOnceLeavesTheSameDebt) {
    Journal journal(page_);
    journal.take_over();
    journal.take();
    journal.take();
    journal.begin_write();
    EXPECT_EQ(successor().replies, 1U);
    const Owed owed = successor();
    EXPECT_TRUE(owed.half_line);
    EXPECT_EQ(owed.replies, 1U);
}

TEST_F(JournalPage, WhateverItHoldsTheDebtIsBounded) {
    Journal journal(page_);
    journal.take_over();
    for (std::size_t at = 0; at < 10 * kMaxQueued; ++at) journal.take();
    EXPECT_EQ(successor().replies, kMaxQueued);
    for (std::size_t at = 8; at < page_.size(); ++at) page_[at] = std::byte{0xFF};
    EXPECT_LE(successor().replies, kMaxQueued + 1);
}

}  // namespace
}  // namespace sallyport::worker
