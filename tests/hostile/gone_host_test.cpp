// A worker that was taken over and ignores that its host has gone does not keep the next host waiting.
#include <gtest/gtest.h>

#include "ipc/limits.hpp"
#include "tests/hostile/taken_over.hpp"
#include "tests/support/audit.hpp"

namespace sallyport::test {
namespace {

constexpr milliseconds kLongerThanGrace{3000};
constexpr std::int64_t kMostFrames = 512;

class GoneHost : public TakenOver {
protected:
    // Those that have a line, and those that were counted because they are too many for one.
    [[nodiscard]] std::int64_t flushes_that_were_heard() const {
        std::int64_t count = 0;
        for (const auto& record : agent_.audit()) {
            count += text_of(record, "what") == "guest-file-flush" ? 1 : 0;
            const auto* unwritten = record.if_contains("unwritten");
            const auto* more =
                unwritten == nullptr ? nullptr : unwritten->as_object().if_contains("guest-file-flush");
            count += more == nullptr ? 0 : more->as_int64();
        }
        return count;
    }
    void expect_next_is_served() {
        Puppet next(agent_);
        EXPECT_EQ(next.ask(wire::file_flush(1, 1)).error().reason(), ipc::BAD_HANDLE);
        EXPECT_EQ(agent_.count_audit("verdict", "violation"), 0U);
        EXPECT_EQ(agent_.count_audit("arguments", R"({"exit_status":-1,"signal":9})"), 1U);
        EXPECT_EQ(agent_.count_audit("what", "connect"), 2U);
        EXPECT_EQ(agent_.count_audit("what", "worker-ended"), 1U);
    }
};

TEST_F(GoneHost, OfASilentWorkerIsNoticed) {
    puppet_.ignore_host();
    puppet_.hang_up();
    expect_next_is_served();
}

TEST_F(GoneHost, OfAWorkerThatTalksOnIsNoticedAndLittleMoreIsHeard) {
    puppet_.talk_alone();
    puppet_.hang_up();
    expect_next_is_served();
    // The next worker's is one more.
    EXPECT_LE(flushes_that_were_heard(), kMostFrames + 1);
    EXPECT_GT(flushes_that_were_heard(), 1);
}

TEST_F(GoneHost, InTheMiddleOfAReadIsNoticed) {
    const std::int64_t handle = open(1, "large", "r");
    puppet_.send(wire::file_read(2, handle, 3 << 20));
    for (std::size_t at = 0; at < kChunks; ++at) puppet_.hear();
    puppet_.ignore_host();
    puppet_.hang_up();
    expect_next_is_served();
}

TEST_F(GoneHost, IsNotOneThatOnlySendsNoMore) {
    const pid_t worker = agent_.worker();
    puppet_.ignore_host();
    puppet_.half_close();
    EXPECT_FALSE(agent_.broker().wait(kLongerThanGrace)) << "the broker ended";
    EXPECT_EQ(agent_.worker(), worker);
    puppet_.hang_up();
    expect_next_is_served();
}

TEST_F(GoneHost, OfAWorkerThatCrashesIsNotServedAgain) {
    puppet_.crash();
    puppet_.hang_up();
    Puppet next(agent_);
    EXPECT_EQ(next.ask(wire::file_flush(1, 1)).error().reason(), ipc::BAD_HANDLE);
}

}  // namespace
}  // namespace sallyport::test
