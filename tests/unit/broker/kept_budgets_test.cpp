// What is kept of budgets in the state directory: over restarts, crashes and reboots.
#include "broker/start/kept_budgets.hpp"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>

#include "base/clock.hpp"
#include "broker/recorder/kept_budgets.hpp"
#include "ipc/ring.hpp"
#include "scratch.hpp"

namespace {

std::function<int(int)> instead_of_fsync;

}  // namespace

// Takes the place of libc's.
extern "C" int fsync(int file) {
    return instead_of_fsync ? instead_of_fsync(file) : static_cast<int>(::syscall(SYS_fsync, file));
}

namespace sallyport::broker {
namespace {

constexpr std::int64_t kHour = std::int64_t{3600} * 1'000'000'000;
constexpr std::int64_t kLong = 300 * 24 * kHour;  // longer than this machine has run

policy::Policy budgeted(std::initializer_list<const char*> ids) {
    policy::Policy policy;
    for (const char* id : ids) {
        policy::Rule rule{.id = id, .effect = policy::Effect::kAllow};
        rule.budget.rate = {.amount = 2, .burst = 2, .per_ns = kLong};
        policy.rules.push_back(rule);
    }
    return policy;
}

using Due = std::vector<std::int64_t>;

class Kept : public testing::Test {
protected:
    /// A start, whose file is closed: its recorder has ended.
    Due begin(std::initializer_list<const char*> ids) {
        auto begun = starter::begin_budgets(scratch_.fd(), budgeted(ids));
        EXPECT_TRUE(begun);
        return begun->due;
    }
    /// A recorder of the agent that has just begun.
    recorder::KeptBudgets recorder() {
        auto opened = recorder::KeptBudgets::open(
            UniqueFd(::openat(scratch_.fd().get(), "sallyport.budgets", O_RDWR | O_CLOEXEC)));
        EXPECT_TRUE(opened);
        return *std::move(opened);
    }
    [[nodiscard]] ipc::KeptBudgets file() const {
        ipc::KeptBudgets kept;
        const std::string bytes = scratch_.read("sallyport.budgets");
        std::copy_n(bytes.begin(), std::min(bytes.size(), sizeof kept), reinterpret_cast<char*>(&kept));
        return kept;
    }
    void write_file(const ipc::KeptBudgets& kept) const {
        scratch_.write("sallyport.budgets", {reinterpret_cast<const char*>(&kept), kept.size()});
    }
    /// The guest boots again.
    void reboot() const {
        ipc::KeptBudgets kept = file();
        kept.boot[0] = kept.boot[0] == '0' ? '1' : '0';
        write_file(kept);
    }
    ScratchDirectory scratch_;
    ipc::Ring ring_ = *ipc::Ring::create();
};

TEST_F(Kept, IsWhatTheLastAgentHasTakenWhereverTheRuleStands) {
    EXPECT_EQ(begin({"a-rule", "its-neighbour"}), (Due{kLong, kLong})) << "empty when the guest booted";
    const std::int64_t due = kLong + 7;
    ring_.words().due[1] = due;
    EXPECT_EQ(recorder().keep(ring_.words()), 0);
    EXPECT_EQ(begin({"new", "its-neighbour", "a-rule"}), (Due{kLong, due, kLong}));
    EXPECT_EQ(begin({"its-neighbour"}), (Due{due})) << "and the next start again";
}

TEST_F(Kept, NeverGoesBack) {
    begin({"a-rule"});
    ring_.words().due[0] = kLong + 2;
    ring_.words().due[1] = kLong + 9;  // of no rule
    auto writing = recorder();
    EXPECT_EQ(writing.keep(ring_.words()), 0);
    ring_.words().due[0] = kLong + 1;
    EXPECT_FALSE(writing.are_behind(ring_.words()));
    EXPECT_EQ(writing.keep(ring_.words()), 0);
    EXPECT_EQ(recorder().keep(ring_.words()), 0);
    EXPECT_EQ(begin({"a-rule", "its-neighbour"}), (Due{kLong + 2, kLong}));
}

TEST_F(Kept, IsReadAgainByWhoGoesOnAfterAnother) {
    begin({"a-rule", "its-neighbour"});
    auto first = recorder();
    auto next = recorder();
    ring_.words().due[0] = kLong + 8;
    ring_.words().due[1] = kLong + 9;
    EXPECT_EQ(first.keep(ring_.words()), 0);
    next.forget();
    ring_.words().due[0] = kLong + 10;
    ring_.words().due[1] = kLong + 1;
    EXPECT_FALSE(next.are_behind(ring_.words())) << "of what is not known nothing is said";
    EXPECT_EQ(next.keep(ring_.words()), 0);
    EXPECT_EQ(begin({"a-rule", "its-neighbour"}), (Due{kLong + 10, kLong + 9}));
}

TEST_F(Kept, WhatIsNotReadAgainIsNotWrittenAtTheEnd) {
    begin({"a-rule"});
    auto next = recorder();
    const std::string before = scratch_.read("sallyport.budgets");
    ring_.words().due[0] = kLong + 1;
    next.forget();
    next.close();
    EXPECT_EQ(scratch_.read("sallyport.budgets"), before);
}

TEST_F(Kept, IsAsLargeAsItsRows) {
    begin({"a-rule", "its-neighbour"});
    EXPECT_EQ(scratch_.read("sallyport.budgets").size(), 64U + 2 * 104);
    begin({"its-neighbour"});
    EXPECT_EQ(scratch_.read("sallyport.budgets").size(), 64U + 104);
}

TEST_F(Kept, AfterAResetEachBucketIsEmpty) {
    begin({"a-rule"});
    ring_.words().due[0] = 1;
    EXPECT_EQ(recorder().keep(ring_.words()), 0);
    ipc::KeptBudgets full = file();
    full.rows[0].due = 0;
    write_file(full);
    reboot();
    EXPECT_EQ(begin({"a-rule"}), (Due{kLong})) << "what was not said at the end may have been spent";
}

TEST_F(Kept, AfterAnOrderlyEndARebootKeepsWhatWasLeftAndCountsNoTimeBetween) {
    begin({"a-rule"});
    ring_.words().due[0] = awake_ns() + kLong - kHour;
    auto writing = recorder();
    EXPECT_EQ(writing.keep(ring_.words()), 0);
    writing.close();
    EXPECT_EQ(file().is_final, 1U);
    const std::int64_t missing = file().rows[0].due - file().written;
    EXPECT_GT(missing, kLong - 2 * kHour);
    reboot();
    EXPECT_EQ(begin({"a-rule"}), (Due{missing}));
    EXPECT_EQ(file().is_final, 0U) << "good for one start";
    reboot();
    EXPECT_EQ(begin({"a-rule"}), (Due{kLong}));
}

TEST_F(Kept, ABucketThatWasFullIsFullAfterAReboot) {
    begin({"a-rule"});
    ipc::KeptBudgets full = file();
    full.rows[0].due = 0;
    write_file(full);
    recorder().close();
    reboot();
    EXPECT_EQ(begin({"a-rule"}), (Due{0}));
}

TEST_F(Kept, ABrokerThatWasTakenOverEmptiesABucketAndNoMore) {
    begin({"a-rule"});
    ring_.words().due[0] = INT64_MAX;
    EXPECT_EQ(recorder().keep(ring_.words()), 0);
    const std::int64_t before = awake_ns();
    const Due due = begin({"a-rule"});
    EXPECT_GE(due[0], before + kLong);
    EXPECT_LE(due[0], awake_ns() + kLong);
}

TEST_F(Kept, WhatNoAgentWroteIsNothing) {
    for (const std::string& text : {std::string("x"), std::string(64, 'x'), std::string(20'000, '\xff')}) {
        scratch_.write("sallyport.budgets", text);
        EXPECT_EQ(begin({"a-rule"}), (Due{kLong})) << text.size();
    }
    begin({"a-rule"});
    ipc::KeptBudgets negative = file();
    negative.rows[0].due = INT64_MIN;
    write_file(negative);
    EXPECT_EQ(begin({"a-rule"}), (Due{0}));
}

TEST_F(Kept, OfNumbersFarApartThatARecorderWroteABucketIsNeitherFullerNorEmptierThanItCanBe) {
    constexpr std::pair<std::int64_t, std::int64_t> kFarApart[] = {{INT64_MIN, INT64_MAX},
                                                                   {INT64_MAX, INT64_MIN}};
    for (const auto& [due, written] : kFarApart) {
        begin({"a-rule"});
        ipc::KeptBudgets kept = file();
        kept.rows[0].due = due;
        kept.written = written;
        kept.is_final = 1;
        write_file(kept);
        reboot();
        EXPECT_EQ(begin({"a-rule"}), (Due{due < 0 ? 0 : kLong})) << due;
    }
}

TEST_F(Kept, WhileAnEarlierRecorderMayStillWriteEachBucketIsEmptyNow) {
    auto earlier = starter::begin_budgets(scratch_.fd(), budgeted({"a-rule"}));
    ASSERT_TRUE(earlier);
    const std::int64_t before = awake_ns();
    auto begun = starter::begin_budgets(scratch_.fd(), budgeted({"a-rule"}));
    ASSERT_TRUE(begun);
    EXPECT_GE(begun->due[0], before + kLong);
    auto late = recorder::KeptBudgets::open(std::move(earlier->file));
    ASSERT_TRUE(late);
    late->close();
    EXPECT_EQ(file().is_final, 0U) << "it writes to a file that is gone";
}

// After a power failure the directory has what was in it when it was last brought to the disk.
TEST_F(Kept, TheFileThatReplacesAnEarlierRecordersIsTheOneThatAPowerFailureLeaves) {
    auto earlier = starter::begin_budgets(scratch_.fd(), budgeted({"a-rule"}));
    ASSERT_TRUE(earlier);
    const auto named = [this] {
        struct stat info{};
        return ::fstatat(scratch_.fd().get(), "sallyport.budgets", &info, 0) == 0 ? info.st_ino : 0;
    };
    const ino_t old = named();
    ino_t on_disk = old;
    instead_of_fsync = [&](int file) {
        EXPECT_EQ(file, scratch_.fd().get());
        on_disk = named();
        return 0;
    };
    auto second = starter::begin_budgets(scratch_.fd(), budgeted({"a-rule"}));
    ASSERT_TRUE(second);
    EXPECT_NE(named(), old);
    EXPECT_EQ(on_disk, named());
    instead_of_fsync = [](int) {
        errno = EIO;
        return -1;
    };
    EXPECT_FALSE(starter::begin_budgets(scratch_.fd(), budgeted({"a-rule"}))) << "or none starts";
    instead_of_fsync = nullptr;
}

// As on a full disk. The next start knows what was taken.
TEST_F(Kept, AStartThatFailsBesideAnEarlierRecorderLeavesWhatThatHasWritten) {
    auto earlier = starter::begin_budgets(scratch_.fd(), budgeted({"a-rule"}));
    ASSERT_TRUE(earlier);
    const std::string before = scratch_.read("sallyport.budgets");
    ASSERT_EQ(::mkdirat(scratch_.fd().get(), "sallyport.budgets.new", 0700), 0);
    EXPECT_FALSE(starter::begin_budgets(scratch_.fd(), budgeted({"a-rule"})));
    EXPECT_EQ(scratch_.read("sallyport.budgets"), before);
}

TEST_F(Kept, AreNoneWithoutBudgetsWhateverAnEarlierPolicyLeft) {
    begin({"a-rule"});
    auto begun = starter::begin_budgets(scratch_.fd(), policy::Policy());
    ASSERT_TRUE(begun);
    EXPECT_TRUE(begun->due.empty());
    auto writing = recorder::KeptBudgets::open(std::move(begun->file));
    ASSERT_TRUE(writing);
    ring_.words().due[0] = 5;
    EXPECT_EQ(writing->keep(ring_.words()), 0);
    writing->close();
    EXPECT_EQ(scratch_.read("sallyport.budgets"), "");
}

TEST_F(Kept, WhatCannotBeWrittenIsSaid) {
    begin({"a-rule"});
    auto unwritable = recorder::KeptBudgets::open(
        UniqueFd(::openat(scratch_.fd().get(), "sallyport.budgets", O_RDONLY | O_CLOEXEC)));
    ring_.words().due[0] = kLong + 1;
    EXPECT_EQ(unwritable->keep(ring_.words()), EBADF);
}

}  // namespace
}  // namespace sallyport::broker
