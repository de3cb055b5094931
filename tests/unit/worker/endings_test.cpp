// How a worker ends, and what its successor makes good.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/unit/worker/served.hpp"

namespace sallyport::worker::test {
namespace {

TEST(End, HostThatClosesEndsIt) {
    Served served;
    served.close_host();
    EXPECT_EQ(served.end(), Exit::kDone);
}

TEST(End, HalfClosedHostIsAnsweredFirst) {
    Served served;
    served.say(ping() + open_file() + ping());
    served.half_close();
    const ipc::Request asked = served.asked();
    EXPECT_EQ(served.line(), kPong);
    served.reply(opened(asked, 1000));
    EXPECT_EQ(served.line(), "{\"return\": 1000}");
    EXPECT_EQ(served.line(), kPong);
    EXPECT_EQ(served.end(), Exit::kDone);
}

TEST(End, HostThatClosesWithUnreadRepliesEndsIt) {
    Served served;
    for (int at = 0; at < 10; ++at) served.say(ping());
    EXPECT_TRUE(served.host_has_input(kPatienceMs));
    served.close_host();
    EXPECT_EQ(served.end(), Exit::kDone);
}

TEST(End, BrokerThatClosesEndsIt) {
    Served served;
    served.close_broker();
    EXPECT_EQ(served.end(), Exit::kDone);
}

TEST(End, VirtioSerialOutlivesItsHost) {
    Served served(ipc::Welcome::VIRTIO_SERIAL);
    served.say(open_file());
    const ipc::Request asked = served.asked();
    served.half_close();
    served.reply(opened(asked, 1000));
    EXPECT_EQ(served.line(), "{\"return\": 1000}");
    EXPECT_FALSE(served.is_asked(200)) << "the worker's end of the broker socket was closed";
}

TEST(End, IsaSerialThatEndsIsLost) {
    Served served(ipc::Welcome::ISA_SERIAL);
    served.half_close();
    EXPECT_EQ(served.end(), Exit::kChannelLost);
}

class BrokenBroker : public testing::TestWithParam<std::string> {};

TEST_P(BrokenBroker, EndsIt) {
    Served served;
    served.say(open_file());
    served.asked();
    served.send_frame(GetParam());
    EXPECT_EQ(served.end(), Exit::kBrokerBroken);
}

std::string frame(const ipc::Reply& reply) {
    return reply.SerializeAsString();
}

std::string other_question() {
    ipc::Reply reply;
    reply.set_seq(1);
    reply.mutable_file_close();
    return frame(reply);
}

std::string other_seq() {
    ipc::Reply reply;
    reply.set_seq(2);
    reply.mutable_file_open()->set_handle(1000);
    return frame(reply);
}

std::string data_nobody_asked_for() {
    ipc::Reply reply;
    reply.set_seq(1);
    reply.mutable_data()->set_size(1);
    reply.mutable_file_open()->set_handle(1000);
    return frame(reply);
}

INSTANTIATE_TEST_SUITE_P(, BrokenBroker,
                         testing::Values("garbage", other_question(), other_seq(), data_nobody_asked_for()));

TEST(Successor, AnswersWhatThePredecessorOwes) {
    Served served;
    served.say(open_file() + ping() + ping());
    served.asked();
    served.restart();
    for (int at = 0; at < 3; ++at) EXPECT_EQ(served.line(), kRestarted);
    served.say(ping());
    EXPECT_EQ(served.line(), kPong);
}

TEST(Successor, OfOneThatWasDoneSaysNothing) {
    Served served;
    served.say(ping());
    EXPECT_EQ(served.line(), kPong);
    served.restart();
    served.say(sync(3));
    EXPECT_EQ(served.line(), "{\"return\": 3}");
}

TEST(Successor, EndsALineThatWasCutOff) {
    Served served;
    served.say(request("guest-file-read", R"({"handle":1000,"count":1000000})") + ping());
    ipc::Reply part;
    part.set_seq(served.asked().seq());
    part.mutable_data()->set_size(3);
    part.mutable_more();
    served.reply(part);
    EXPECT_TRUE(served.asked().has_chunk_used());
    const std::string begun = R"({"return": {"buf-b64": "AAAA)";
    EXPECT_EQ(served.bytes(begun.size()), begun);
    served.restart();
    EXPECT_EQ(served.line(), "");
    EXPECT_EQ(served.line(), kRestarted);
    served.say(ping());
    EXPECT_EQ(served.line(), kPong);
}

TEST(Successor, AnswersForAValueThatWasHalfReadAndSkipsItsRest) {
    Served served;
    served.say(ping() + R"({"execute":"guest-)");
    EXPECT_EQ(served.line(), kPong);
    served.restart();
    EXPECT_EQ(served.line(), kRestarted);
    served.say("ping\"}\n" + sync(4));
    EXPECT_EQ(served.line(), "{\"return\": 4}");
}

}  // namespace
}  // namespace sallyport::worker::test
