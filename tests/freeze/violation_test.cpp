// A worker that was taken over while file systems are frozen.
#include "tests/freeze/freezing.hpp"
#include "tests/hostile/puppet.hpp"
#include "tests/hostile/wire.hpp"

namespace sallyport::test {
namespace {

std::string frame(std::uint64_t seq, std::uint64_t command) {
    return wire::seq(seq) + wire::bytes(command, "");
}

class WhileFrozen : public testing::Test {
protected:
    WhileFrozen()
        : systems_(make_systems(1)),
          agent_({.policy = freeze_policy(), .root = tree_.root()}),
          puppet_(agent_) {
        // Told of the state, then answered.
        puppet_.send(frame(1, 23));
        EXPECT_TRUE(puppet_.hear().frozen_state().frozen());
        EXPECT_EQ(puppet_.hear().fsfreeze_freeze().count(), 1);
    }

    PuppetTree tree_;
    std::vector<std::unique_ptr<LoopFs>> systems_;
    Agent agent_;
    Puppet puppet_;
};

TEST_F(WhileFrozen, ViolationEndsTheWorkerAndTheNextOneCanThaw) {
    puppet_.send("no frame at all");
    EXPECT_TRUE(puppet_.is_replaced());
    EXPECT_TRUE(puppet_.welcome().welcome().frozen());
    puppet_.send(frame(1, 25));
    EXPECT_FALSE(puppet_.hear().frozen_state().frozen());
    EXPECT_EQ(puppet_.hear().fsfreeze_thaw().count(), 1);
    EXPECT_TRUE(all_are_writable(systems_));
    EXPECT_EQ(agent_.count_audit("verdict", "violation"), 1U);
}

TEST_F(WhileFrozen, NothingButTheFrozenSetIsAnswered) {
    EXPECT_EQ(puppet_.ask(frame(2, 23)).error().reason(), ipc::FROZEN);
    EXPECT_EQ(puppet_.ask(frame(3, 24)).error().reason(), ipc::FROZEN);
    EXPECT_EQ(puppet_.ask(frame(4, 26)).error().reason(), ipc::FROZEN);
    EXPECT_EQ(puppet_.ask(wire::file_flush(5, 1)).error().reason(), ipc::DISABLED);
    EXPECT_EQ(puppet_.ask(frame(6, 22)).fsfreeze_status().value(), schema::FsfreezeStatusReply::FROZEN);
    puppet_.send(frame(7, 25));
    EXPECT_FALSE(puppet_.hear().frozen_state().frozen());
    EXPECT_EQ(puppet_.hear().fsfreeze_thaw().count(), 1);
}

}  // namespace
}  // namespace sallyport::test
