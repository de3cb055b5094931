// The kept time and the kept budgets, while one of the recorder's two processes goes on for the other.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/clock.hpp"
#include "broker/recorder/recorder.hpp"
#include "broker/start/kept_budgets.hpp"
#include "broker/start/kept_state.hpp"
#include "ipc/channel.hpp"
#include "ipc/kept_budgets.hpp"
#include "scratch.hpp"

namespace sallyport::recorder {
namespace {

constexpr std::int64_t kNoon = 1'800'000'000;
constexpr std::int64_t kLong =
    std::int64_t{300 * 24 * 3600} * 1'000'000'000;  // longer than this machine has run

policy::Policy with_two_budgets() {
    policy::Policy policy;
    for (const char* id : {"a-rule", "its-neighbour"}) {
        policy::Rule rule{.id = id, .effect = policy::Effect::kAllow};
        rule.budget.rate = {.amount = 2, .burst = 2, .per_ns = kLong};
        policy.rules.push_back(rule);
    }
    return policy;
}

class KeptByBoth : public testing::Test {
protected:
    // The keeper becomes this process's child when the writer has ended.
    KeptByBoth() : ring_(*ipc::Ring::create()) {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        auto pair = ipc::socket_pair();
        writer_ = ::fork();
        if (writer_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            pair->first.reset();
            ::_exit(run(std::move(pair->second)));
        }
        broker_ = std::move(pair->first);
    }
    ~KeptByBoth() override {
        broker_.reset();
        await_end();
        ::prctl(PR_SET_CHILD_SUBREAPER, 0);
    }
    int run(UniqueFd broker) {
        auto log = Log::open(scratch_.fd(), {});
        auto time = LatestTime::open(std::move(starter::open_kept_time(scratch_.fd())->file));
        auto begun = starter::begin_budgets(scratch_.fd(), with_two_budgets());
        auto budgets = begun ? KeptBudgets::open(std::move(begun->file)) : std::unexpected(begun.error());
        if (!log || !time || !budgets) return 2;
        return Recorder(std::move(broker), std::move(ring_),
                        {std::move(*log), std::move(*time), std::move(*budgets)}, LastLines::kWait)
            .run();
    }
    /// As the broker puts one and wakes the recorder.
    void put(const char* line) {
        EXPECT_TRUE(ring_.put(line));
        EXPECT_EQ(::send(broker_.get(), "w", 1, MSG_NOSIGNAL), 1);
    }
    void give(std::int64_t time, std::int64_t due, std::int64_t neighbours_due) {
        ring_.words().latest_time = time;
        ring_.words().due[0] = due;
        ring_.words().due[1] = neighbours_due;
    }
    /// The writer has written a line and so has started its keeper.
    void have_a_keeper() {
        put("{\"what\":\"something\"}");
        ring_.words().sync_wanted = ring_.position();
        EXPECT_TRUE(comes_true([&] { return ring_.words().synced == ring_.position(); }))
            << "that the keeper does";
    }
    [[nodiscard]] std::int64_t time() const { return starter::open_kept_time(scratch_.fd())->floor; }
    [[nodiscard]] std::int64_t due(std::size_t row) const {
        ipc::KeptBudgets kept;
        const std::string bytes = scratch_.read("sallyport.budgets");
        std::copy_n(bytes.begin(), std::min(bytes.size(), sizeof kept), reinterpret_cast<char*>(&kept));
        return kept.rows[row].due;
    }
    [[nodiscard]] bool is_kept(std::int64_t wanted, std::int64_t due_of_first, std::int64_t due_of_second) {
        return comes_true(
            [&] { return time() == wanted && due(0) == due_of_first && due(1) == due_of_second; });
    }
    /// Both processes have ended.
    static void await_end() {
        while (::waitpid(-1, nullptr, 0) > 0) continue;
    }
    static bool comes_true(const auto& what) {
        for (int at = 0; at < 10'000 && !what(); ++at) ::poll(nullptr, 0, 1);
        return what();
    }

    broker::ScratchDirectory scratch_;
    ipc::Ring ring_;
    UniqueFd broker_;
    pid_t writer_ = -1;
};

// A broker that was taken over gives both less than they have.
TEST_F(KeptByBoth, DoNotGoBackWhenAnInvalidLineEndsTheWriter) {
    give(kNoon, kLong + 10, kLong + 10);
    have_a_keeper();
    give(kNoon + 7200, kLong + 900, kLong + 900);
    put("{\"what\":\"another\"}");
    ASSERT_TRUE(is_kept(kNoon + 7200, kLong + 900, kLong + 900));
    give(kNoon + 1, kLong + 11, 0);
    put("no object");
    await_end();
    EXPECT_EQ(time(), kNoon + 7200);
    EXPECT_EQ(due(0), kLong + 900);
    EXPECT_EQ(due(1), kLong + 900);
}

// Nobody wakes the recorder but the end of the broker, which was killed.
TEST_F(KeptByBoth, AreWhatTheBrokerHasGivenLastWhenItIsGone) {
    give(kNoon, kLong + 10, kLong + 10);
    have_a_keeper();
    ASSERT_TRUE(comes_true([&] { return ring_.words().is_asleep != 0; }));
    give(kNoon + 7200, kLong + 900, kLong + 20);
    broker_.reset();
    await_end();
    EXPECT_EQ(time(), kNoon + 7200);
    EXPECT_EQ(due(0), kLong + 900);
    EXPECT_EQ(due(1), kLong + 20);
}

TEST_F(KeptByBoth, GoOnWhenTheWriterIsKilled) {
    give(kNoon, kLong + 10, kLong + 10);
    have_a_keeper();
    give(kNoon + 7200, kLong + 900, kLong + 20);
    put("{\"what\":\"another\"}");
    ASSERT_TRUE(is_kept(kNoon + 7200, kLong + 900, kLong + 20));
    give(kNoon + 1, kLong + 11, kLong + 800);
    ::kill(writer_, SIGKILL);
    EXPECT_TRUE(is_kept(kNoon + 7200, kLong + 900, kLong + 800));
    give(kNoon + 9000, kLong + 901, kLong + 801);
    put("{\"what\":\"a third\"}");
    EXPECT_TRUE(is_kept(kNoon + 9000, kLong + 901, kLong + 801));
}

}  // namespace
}  // namespace sallyport::recorder
