// A slow broker never keeps the host from an answer to a sync.
#include <gtest/gtest.h>

#include <chrono>

#include "ipc/limits.hpp"
#include "tests/unit/worker/served.hpp"

namespace sallyport::worker::test {
namespace {

using std::chrono::steady_clock;

const std::string kSyncDelimited = request("guest-sync-delimited", R"({"id":77})");

// A request for an open file that the broker does not answer.
struct Stuck {
    Served served;
    ipc::Request asked;
    Stuck() {
        served.say(open_file());
        asked = served.asked();
    }
};

TEST(GiveUp, AResetByteAnswersTheSyncBehindIt) {
    Stuck stuck;
    stuck.served.say("\xFF" + kSyncDelimited);
    EXPECT_EQ(stuck.served.line(), kGivenUp);
    EXPECT_EQ(stuck.served.line(), "\xFF{\"return\": 77}");
}

TEST(GiveUp, ASyncIsAnsweredWhenItHasWaitedLongEnough) {
    Stuck stuck;
    const auto before = steady_clock::now();
    stuck.served.say(sync(1));
    EXPECT_EQ(stuck.served.line(), kGivenUp);
    EXPECT_EQ(stuck.served.line(), "{\"return\": 1}");
    EXPECT_GE(steady_clock::now() - before, std::chrono::milliseconds(kSyncPatienceMs));
}

TEST(GiveUp, AFreezeThatIsNotAnsweredCountsAsFrozen) {
    Served served;
    served.say(request("guest-fsfreeze-freeze"));
    const ipc::Request asked = served.asked();
    served.say("\xFF" + kSyncDelimited + request("guest-fsfreeze-status"));
    EXPECT_EQ(served.line(), kGivenUp);
    EXPECT_EQ(served.line(), "\xFF{\"return\": 77}");
    EXPECT_EQ(served.line(), "{\"return\": \"frozen\"}");
    ipc::Reply refused;
    refused.set_seq(asked.seq());
    refused.mutable_error()->set_reason(ipc::DISABLED);
    served.reply(refused);
    EXPECT_TRUE(served.asked().has_reply_dropped());
    served.say(request("guest-fsfreeze-status"));
    EXPECT_EQ(served.line(), "{\"return\": \"thawed\"}");
}

TEST(GiveUp, APingHasNoSuchPower) {
    Stuck stuck;
    stuck.served.say(ping());
    EXPECT_FALSE(stuck.served.host_has_input(kSyncPatienceMs + 500));
}

TEST(GiveUp, RequestsBetweenItAndTheSyncAreAnsweredBusyInOrder) {
    Stuck stuck;
    stuck.served.say(R"({"execute":"guest-file-close","arguments":{"handle":1},"id":5})" + ping() +
                     open_file() + "\xFF" + sync(2));
    EXPECT_EQ(stuck.served.line(), kGivenUp);
    EXPECT_EQ(
        stuck.served.line(),
        R"({"id": 5, "error": {"class": "GenericError", "desc": "the agent is busy with an earlier request"}})");
    EXPECT_EQ(stuck.served.line(), kPong);
    EXPECT_EQ(stuck.served.line(), kBusy);
    EXPECT_EQ(stuck.served.line(), "{\"return\": 2}");
}

TEST(GiveUp, UntilTheLateReplyOnlyWhatNeedsNoBrokerIsDone) {
    Stuck stuck;
    stuck.served.say("\xFF" + open_file() + ping() + sync(3));
    EXPECT_EQ(stuck.served.line(), kGivenUp);
    EXPECT_EQ(stuck.served.line(), kBusy);
    EXPECT_EQ(stuck.served.line(), kPong);
    EXPECT_EQ(stuck.served.line(), "{\"return\": 3}");
    EXPECT_FALSE(stuck.served.is_asked(0));
}

TEST(GiveUp, TheLateReplyIsDroppedAndReported) {
    Stuck stuck;
    stuck.served.say("\xFF" + sync(4));
    EXPECT_EQ(stuck.served.line(), kGivenUp);
    EXPECT_EQ(stuck.served.line(), "{\"return\": 4}");
    stuck.served.reply(opened(stuck.asked, 1000));
    const ipc::Request dropped = stuck.served.asked();
    EXPECT_EQ(dropped.seq(), 0U);
    EXPECT_EQ(dropped.reply_dropped().seq(), stuck.asked.seq());
    stuck.served.say(open_file());
    const ipc::Request next = stuck.served.asked();
    EXPECT_EQ(next.seq(), stuck.asked.seq() + 1);
    stuck.served.reply(opened(next, 1001));
    EXPECT_EQ(stuck.served.line(), "{\"return\": 1001}");
}

TEST(GiveUp, AResetByteWithNothingUnderWayIsSilent) {
    Served served;
    served.say("\xFF\xFF{\"execute\":\"gue\xFF" + ping());
    EXPECT_EQ(served.line(), kPong);
    EXPECT_FALSE(served.is_asked(0));
}

}  // namespace
}  // namespace sallyport::worker::test
