// Who may freeze, when the thaw is ordered between two steps.
#include <gtest/gtest.h>

#include "broker/guard/thaw.hpp"

namespace sallyport::guard {
namespace {

TEST(ClaimOfAFreeze, IsSeenByWhoeverThaws) {
    Shared shared{};
    shared.entries[0].state = State::kSynced;
    EXPECT_TRUE(claim_freeze(shared, 0));
    EXPECT_EQ(shared.entries[0].state, State::kFreezing);
}

TEST(ClaimOfAFreeze, IsGivenUpWhereTheThawIsOrderedAlready) {
    Shared shared{};
    shared.entries[0].state = State::kSynced;
    shared.is_over = true;
    EXPECT_FALSE(claim_freeze(shared, 0));
    EXPECT_EQ(shared.entries[0].state, State::kSynced);
}

}  // namespace
}  // namespace sallyport::guard
