// The broker's loop and files that do not answer: what may have been changed has its line.
#include <gtest/gtest.h>

#include "ipc/limits.hpp"
#include "tests/fuzz/stage.hpp"

namespace sallyport::fuzz {
namespace {

class BrokerLoopGivesUp : public testing::Test {
protected:
    BrokerLoopGivesUp() : stage_({}) { stage_.greet(); }
    std::uint64_t ask(ipc::Request request) {
        request.set_seq(stage_.worker().last_seq() + 1);
        stage_.send(request);
        return request.seq();
    }
    /// The clerk that has the order does not report in time.
    void give_up(const ipc::Request& request) {
        stage_.files.is_stuck = true;
        const std::uint64_t seq = ask(request);
        stage_.pass_time(2 * kFileTimeoutNs);
        EXPECT_FALSE(stage_.worker().is_done(seq));
        EXPECT_EQ(stage_.worker().unanswered(), 0U);
        stage_.files.is_stuck = false;
        stage_.settle();
    }
    static ipc::Request opening(const char* path) {
        ipc::Request request;
        request.mutable_file_open()->set_path(path);
        request.mutable_file_open()->set_mode("w");
        return request;
    }
    [[nodiscard]] int lines_with(std::string_view text) const {
        const std::string log = stage_.recorder.log();
        int count = 0;
        for (std::size_t at = log.find(text); at != log.npos; at = log.find(text, at + 1)) ++count;
        return count;
    }
    Stage stage_;
};

// What such an open has made or cut off is not known.
TEST_F(BrokerLoopGivesUp, AnOpenAndHasItsLineHoweverOftenThatComes) {
    constexpr int kMany = 100;
    for (int at = 0; at < kMany; ++at) give_up(opening("/work/new"));
    EXPECT_EQ(lines_with("\"what\":\"guest-file-open\""), kMany);
    stage_.finish();
}

TEST_F(BrokerLoopGivesUp, AWriteAndRecordsItAsItWasOrdered) {
    ASSERT_TRUE(stage_.worker().is_done(ask(opening("/work/new"))));
    ipc::Request write;
    write.mutable_file_write()->set_handle(handles().rbegin()->first);
    write.mutable_bulk()->set_total(3);
    write.mutable_bulk()->mutable_first()->set_size(3);
    give_up(write);
    EXPECT_EQ(lines_with("\"bytes\":3"), 1);
    stage_.finish();
}

}  // namespace
}  // namespace sallyport::fuzz
