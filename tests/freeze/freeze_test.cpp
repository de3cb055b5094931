// Real file systems, frozen and thawed by a host's commands.
#include <algorithm>

#include "tests/freeze/freezing.hpp"

namespace sallyport::test {
namespace {

class FreezesA : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(, FreezesA, testing::Values("ext4", "xfs", "btrfs"),
                         [](const auto& type) { return std::string(type.param); });

TEST_P(FreezesA, FileSystemWhoseWriterWaitsUntilTheThaw) {
    const auto systems = make_systems(1, GetParam());
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(status(host), "thawed");
    EXPECT_EQ(freeze(host), 1);
    EXPECT_EQ(status(host), "frozen");
    std::unique_ptr<Child> writer;
    EXPECT_TRUE(blocks_writers(systems[0]->point(), writer));
    EXPECT_EQ(thaw(host), 1);
    EXPECT_EQ(status(host), "thawed");
    EXPECT_EQ(writer->wait(), 0);
    EXPECT_EQ(agent.stop(), 0);
}

TEST(Freezing, WithNothingToFreezeStaysThawed) {
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(freeze(host), 0);
    EXPECT_EQ(status(host), "thawed");
    EXPECT_EQ(thaw(host), 0);
}

}  // namespace
}  // namespace sallyport::test
