// A worker that was taken over while file systems are frozen.
#include "ipc/limits.hpp"
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
        puppet_.send(frame(1, ipc::Request::kFsfreezeFreeze));
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
    puppet_.send(frame(1, ipc::Request::kFsfreezeThaw));
    EXPECT_FALSE(puppet_.hear().frozen_state().frozen());
    EXPECT_EQ(puppet_.hear().fsfreeze_thaw().count(), 1);
    EXPECT_TRUE(all_are_writable(systems_));
    EXPECT_EQ(agent_.count_audit("verdict", "violation"), 1U);
}

TEST_F(WhileFrozen, NothingButTheFrozenSetIsAnswered) {
    EXPECT_EQ(puppet_.ask(frame(2, ipc::Request::kFsfreezeFreeze)).error().reason(), ipc::FROZEN);
    EXPECT_EQ(puppet_.ask(frame(3, ipc::Request::kFsfreezeFreezeList)).error().reason(), ipc::FROZEN);
    EXPECT_EQ(puppet_.ask(frame(4, ipc::Request::kFstrim)).error().reason(), ipc::FROZEN);
    EXPECT_EQ(puppet_.ask(wire::file_flush(5, 1)).error().reason(), ipc::DISABLED);
    puppet_.send(frame(6, ipc::Request::kFsfreezeThaw));
    EXPECT_FALSE(puppet_.hear().frozen_state().frozen());
    EXPECT_EQ(puppet_.hear().fsfreeze_thaw().count(), 1);
}

// A list of mount points that lies in the arena, where the worker can put what it likes.
class ListInTheArena : public testing::Test {
protected:
    ListInTheArena()
        : systems_(make_systems(1)),
          agent_({.policy = freeze_policy(), .root = tree_.root()}),
          puppet_(agent_) {}

    static std::string list_of(std::string_view point) { return wire::bytes(1, wire::bytes(1, point)); }
    // As an honest worker says it, but for what is given.
    void ask(std::uint64_t total, std::uint64_t offset, std::uint64_t size, std::string_view in_frame = "") {
        puppet_.send(wire::seq(1) + wire::bytes(2, wire::bulk(total, offset, size)) +
                     wire::bytes(24, in_frame));
    }
    // The next reply to a request.
    ipc::Reply result() {
        ipc::Reply reply = puppet_.hear();
        while (reply.has_frozen_state()) reply = puppet_.hear();
        return reply;
    }
    void expect_violation() {
        EXPECT_TRUE(puppet_.is_replaced());
        EXPECT_FALSE(puppet_.welcome().welcome().frozen());
        EXPECT_EQ(agent_.count_audit("verdict", "violation"), 1U);
        EXPECT_TRUE(all_are_writable(systems_));
    }

    static constexpr std::size_t kRounds = 50;
    PuppetTree tree_;
    std::vector<std::unique_ptr<LoopFs>> systems_;
    Agent agent_;
    Puppet puppet_;
    const std::string good_ = list_of("/mnt/fs0");
};

TEST_F(ListInTheArena, IsTakenInItsOneForm) {
    puppet_.write_arena(0, good_);
    ask(good_.size(), 0, good_.size());
    EXPECT_TRUE(puppet_.hear().frozen_state().frozen());
    EXPECT_EQ(puppet_.hear().fsfreeze_freeze_list().count(), 1);
    puppet_.send(frame(2, 25));
    EXPECT_FALSE(puppet_.hear().frozen_state().frozen());
    EXPECT_EQ(puppet_.hear().fsfreeze_thaw().count(), 1);
}

// One byte of it changes all the time between two lists that are both in order, of which one names what can be frozen. What is
// frozen is what the log says, and a list that is in order is no violation.
TEST_F(ListInTheArena, IsCopiedBeforeItIsRead) {
    std::string items = wire::bytes(1, "/mnt/fs0");
    const std::size_t place = wire::bytes(1, "").size() + items.size() + 1;
    while (items.size() + 100 < kMaxMountList) items += wire::bytes(1, "/mnt/none");
    const std::string list = wire::bytes(1, items);
    const auto changing = static_cast<std::uint32_t>(list.find("fs0") + 2);
    EXPECT_LT(changing, place + 4);
    puppet_.write_arena(0, list);
    std::vector<bool> was_frozen;
    for (std::uint64_t seq = 1; seq <= 2 * kRounds; seq += 2) {
        puppet_.send(wire::seq(seq) + wire::bytes(2, wire::bulk(list.size(), 0, list.size())) +
                     wire::bytes(24, ""));
        puppet_.flip_arena(changing, 1'000'000, "10");
        was_frozen.push_back(result().fsfreeze_freeze_list().count() == 1);
        puppet_.send(frame(seq + 1, ipc::Request::kFsfreezeThaw));
        EXPECT_TRUE(result().has_fsfreeze_thaw());
    }
    EXPECT_TRUE(all_are_writable(systems_));
    std::size_t at = 0;
    for (const auto& line : agent_.audit()) {
        EXPECT_NE(line.at("verdict").as_string(), "violation");
        if (line.at("what").as_string() != "guest-fsfreeze-freeze-list") continue;
        const auto& points = line.at("arguments").at("mountpoints").as_string();
        EXPECT_TRUE(points.starts_with(was_frozen.at(at++) ? "/mnt/fs0 /mnt/none " : "/mnt/fs1 /mnt/none "))
            << points;
    }
    EXPECT_EQ(at, kRounds);
}

TEST_F(ListInTheArena, ThatIsNoMessageEndsTheWorker) {
    puppet_.write_arena(0, std::string(good_.size(), '\xff'));
    ask(good_.size(), 0, good_.size());
    expect_violation();
}

TEST_F(ListInTheArena, WithAnUnknownFieldEndsTheWorker) {
    const std::string list = good_ + wire::number(9, 1);
    puppet_.write_arena(0, list);
    ask(list.size(), 0, list.size());
    expect_violation();
}

TEST_F(ListInTheArena, OutsideTheArenaEndsTheWorker) {
    ask(good_.size(), kArenaData, good_.size());
    expect_violation();
}

TEST_F(ListInTheArena, OverItsBoundEndsTheWorker) {
    const std::string list = list_of(std::string(kMaxMountList, 'x'));
    puppet_.write_arena(0, list);
    ask(list.size(), 0, list.size());
    expect_violation();
}

TEST_F(ListInTheArena, OfAnotherSizeThanItSaysEndsTheWorker) {
    puppet_.write_arena(0, good_);
    ask(good_.size() + 1, 0, good_.size());
    expect_violation();
}

TEST_F(ListInTheArena, BesideOneInTheFrameEndsTheWorker) {
    puppet_.write_arena(0, good_);
    ask(good_.size(), 0, good_.size(), good_);
    expect_violation();
}

TEST_F(ListInTheArena, ThatIsEmptyEndsTheWorker) {
    puppet_.send(wire::seq(1) + wire::bytes(2, "") + wire::bytes(24, ""));
    expect_violation();
}

}  // namespace
}  // namespace sallyport::test
