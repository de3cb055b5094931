// The budget of a rule for a place to which a link leads from the directory of another rule.
#include <gtest/gtest.h>

#include <filesystem>

#include "room.hpp"

namespace sallyport::broker {
namespace {

constexpr std::int64_t kDayNs = std::int64_t{86'400} * 1'000'000'000;

class BudgetBehindALink : public Room {
protected:
    BudgetBehindALink() {
        policy::Rule& open = policy_.rules[0];
        open.files[0].under = scratch_.path() / "open";
        open.files[0].follow_symlinks = true;
        policy::Rule metered{.id = "metered", .effect = policy::Effect::kAllow};
        metered.commands = open.commands;
        metered.files = open.files;
        metered.files[0].under = scratch_.path() / "metered";
        policy_.rules.push_back(metered);
        for (const char* name : {"open", "metered"})
            std::filesystem::create_directory(scratch_.path() / name);
        scratch_.write("metered/file", "text");
        std::filesystem::create_symlink(scratch_.path() / "metered/file", scratch_.path() / "open/link");
        std::filesystem::create_directory_symlink(scratch_.path() / "metered", scratch_.path() / "open/more");
    }
    /// Buckets that are full.
    void give(policy::Budget budget) {
        policy_.rules[1].budget = budget;
        session_->budgets = {.buckets = policy::buckets(policy_), .due = {}};
        session_->budgets.due.resize(session_->budgets.buckets.size(), 0);
    }
    ipc::Request opening(const std::string& name, const char* mode) {
        ipc::Request request;
        request.mutable_file_open()->set_path(scratch_.path() / name);
        request.mutable_file_open()->set_mode(mode);
        return request;
    }
    Reply open(const std::string& name, const char* mode = "r") {
        EXPECT_FALSE(ask(opening(name, mode)));
        return reply();
    }
    /// Through either link nothing is opened, and what is there stays as it is.
    void expect_spent(const std::string& budget) {
        for (const std::string name : {"open/link", "open/more/new"}) {
            lines();
            EXPECT_EQ(open(name, "w").error().reason(), ipc::SPENT) << name;
            const std::string line = lines().back();
            EXPECT_TRUE(has(line, "\"rule\":\"metered\"")) << line;
            EXPECT_TRUE(has(line, "\"budget\":\"" + budget + "\"")) << line;
        }
        EXPECT_EQ(scratch_.read("metered/file"), "text");
        EXPECT_FALSE(std::filesystem::exists(scratch_.path() / "metered/new"));
    }
};

constexpr policy::Budget kTwoADay{
    .rate = {.amount = 1, .burst = 2, .per_ns = kDayNs}, .bytes = {}, .concurrent = 0};

TEST_F(BudgetBehindALink, LetsNothingBeMadeOrCutOffOnceItsRateIsSpent) {
    give(kTwoADay);
    EXPECT_TRUE(open("open/link").has_file_open());
    EXPECT_TRUE(open("metered/file").has_file_open());
    expect_spent("rate");
    scratch_.write("open/file", "");
    EXPECT_TRUE(open("open/file").has_file_open()) << "which no link leads to";
}

TEST_F(BudgetBehindALink, LetsNothingBeMadeOrCutOffWhileAsManyAreOpenAsItLets) {
    give({.rate = {}, .bytes = {}, .concurrent = 1});
    EXPECT_TRUE(open("metered/file").has_file_open());
    expect_spent("concurrent");
}

// A worker that was taken over does not wait for the end.
TEST_F(BudgetBehindALink, IsPaidThoughTheWorkerHasEnded) {
    give(kTwoADay);
    for (int at = 0; at < 2; ++at) {
        ipc::Request request = opening("open/link", "r");
        request.set_seq(session_->worker.last_seq + 1);
        std::string bytes;
        ipc::encode(request, bytes);
        ASSERT_TRUE(ipc::send(workers_end_, bytes, ipc::WhenFull::kFail));
        ASSERT_TRUE(ipc::receive(worker_, wire_.frame).value_or(false));
        EXPECT_FALSE(handle_frame(context(), wire_));
        replace_worker();
    }
    EXPECT_EQ(open("metered/file").error().reason(), ipc::SPENT);
}

}  // namespace
}  // namespace sallyport::broker
