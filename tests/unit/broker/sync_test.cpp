// When lines reach the disk: the recorder's two processes, by a clock that the test sets.

// The header of a fortified program has a ppoll() of its own.
#undef _FORTIFY_SOURCE

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <new>
#include <utility>

#include "base/clock.hpp"
#include "broker/recorder/recorder.hpp"
#include "broker/start/kept_budgets.hpp"
#include "broker/start/kept_state.hpp"
#include "ipc/channel.hpp"
#include "scratch.hpp"

namespace {

using sallyport::kNsPerMs;
constexpr std::int64_t kNsPerSecond = 1'000'000'000;

// In memory that the test and the recorder share.
struct Played {
    std::atomic<std::int64_t> now_ns = kNsPerSecond;
    std::atomic<std::int64_t> due_ns = 0;  // of the wait that the keeper is in; 0: of none
    std::atomic<int> waits = 0;            // that it has begun
};

Played* played = nullptr;
bool is_recorder = false;

}  // namespace

// These take the place of libc's in the recorder, which is a child of this process.
extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
    if (!is_recorder) return static_cast<int>(::syscall(SYS_clock_gettime, clock, now));
    const std::int64_t ns = played->now_ns;
    *now = {.tv_sec = ns / kNsPerSecond, .tv_nsec = ns % kNsPerSecond};
    return 0;
}

extern "C" int ppoll(pollfd* wanted, nfds_t count, const timespec* patience, const sigset_t* /*mask*/) {
    const auto wait = [&](const timespec* time) {
        return static_cast<int>(::syscall(SYS_ppoll, wanted, count, time, nullptr, 0));
    };
    const std::int64_t patience_ns =
        patience == nullptr ? 0 : patience->tv_sec * kNsPerSecond + patience->tv_nsec;
    // The writer's waits between two writes go by themselves.
    if (!is_recorder || patience_ns < 50 * kNsPerMs) return wait(patience);
    const std::int64_t due_ns = played->now_ns + patience_ns;
    played->due_ns = due_ns;
    ++played->waits;
    int ready = 0;
    while (ready == 0 && played->now_ns < due_ns) {
        const timespec moment{.tv_sec = 0, .tv_nsec = kNsPerMs};
        ready = wait(&moment);
    }
    played->due_ns = 0;
    return ready;
}

namespace sallyport::recorder {
namespace {

class Synced : public testing::Test {
protected:
    Synced() : ring_(*ipc::Ring::create()) {
        void* memory =
            ::mmap(nullptr, sizeof(Played), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        played = new (memory) Played;
        auto pair = ipc::socket_pair();
        writer_ = ::fork();
        if (writer_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            is_recorder = true;
            pair->first.reset();
            ::_exit(run(std::move(pair->second)));
        }
        broker_ = std::move(pair->first);
    }
    ~Synced() override {
        broker_.reset();
        int status = -1;
        EXPECT_EQ(::waitpid(writer_, &status, 0), writer_);
        EXPECT_EQ(status, 0);
        ::munmap(played, sizeof(Played));
    }
    int run(UniqueFd broker) {
        auto log = Log::open(scratch_.fd(), {});
        auto time = LatestTime::open(std::move(starter::open_kept_time(scratch_.fd())->file));
        auto begun = starter::begin_budgets(scratch_.fd(), {});
        auto budgets = begun ? KeptBudgets::open(std::move(begun->file)) : std::unexpected(begun.error());
        if (!log || !time || !budgets) return 2;
        return Recorder(std::move(broker), std::move(ring_),
                        {std::move(*log), std::move(*time), std::move(*budgets)}, LastLines::kWait)
            .run();
    }
    /// As the broker wakes it.
    void wake() const { EXPECT_EQ(::send(broker_.get(), "w", 1, MSG_NOSIGNAL), 1); }
    /// A line that is in the file, and the keeper waits for the moment to bring it to the disk.
    void have_written() {
        EXPECT_TRUE(ring_.put("{\"what\":\"something\"}"));
        wake();
        EXPECT_TRUE(
            comes_true([&] { return ring_.words().taken == ring_.position() && played->due_ns != 0; }));
        EXPECT_LT(ring_.words().synced, ring_.position());
    }
    [[nodiscard]] bool is_on_the_disk() {
        return comes_true([&] { return ring_.words().synced == ring_.position(); });
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

TEST_F(Synced, IsALineASecondAfterItWasWritten) {
    have_written();
    played->now_ns += kNsPerSecond;
    EXPECT_TRUE(is_on_the_disk());
}

TEST_F(Synced, IsALineWithoutASecondMoreThoughOthersFollowIt) {
    have_written();
    played->now_ns += 900 * kNsPerMs;
    EXPECT_TRUE(ring_.put("{\"what\":\"another\"}"));
    wake();
    EXPECT_TRUE(comes_true([&] { return ring_.words().taken == ring_.position(); }));
    played->now_ns += 100 * kNsPerMs;
    EXPECT_TRUE(is_on_the_disk());
}

// The writer wakes the keeper whenever a line is wanted on the disk that is not written yet.
TEST_F(Synced, IsALineWithoutASecondMoreThoughTheKeeperIsWokenMeanwhile) {
    have_written();
    played->now_ns += 900 * kNsPerMs;
    ring_.words().sync_wanted = ring_.position() + 1;
    const int before = played->waits;
    wake();
    EXPECT_TRUE(comes_true([&] { return played->waits > before; }));
    played->now_ns += 100 * kNsPerMs;
    EXPECT_TRUE(is_on_the_disk());
}

}  // namespace
}  // namespace sallyport::recorder
