// Order, identity and amount of replies.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "ipc/limits.hpp"
#include "tests/unit/worker/served.hpp"

namespace sallyport::worker::test {
namespace {

TEST(Conversation, PingNeedsNoBroker) {
    Served served;
    served.say(ping());
    EXPECT_EQ(served.line(), kPong);
    EXPECT_FALSE(served.is_asked(0));
}

ipc::Reply state(bool is_frozen) {
    ipc::Reply told;
    told.mutable_frozen_state()->set_frozen(is_frozen);
    return told;
}

TEST(Conversation, TheStateOfAFreezeIsWhatTheBrokerSaidLast) {
    Served served;
    const std::string status = request("guest-fsfreeze-status");
    served.say(status);
    EXPECT_EQ(served.line(), "{\"return\": \"thawed\"}");
    for (const bool is_frozen : {true, false}) {
        // The worker has taken what was said before this reply.
        served.say(open_file());
        const ipc::Request asked = served.asked();
        served.reply(state(is_frozen));
        served.reply(opened(asked, 1000));
        served.line();
        served.say(status);
        EXPECT_EQ(served.line(), is_frozen ? "{\"return\": \"frozen\"}" : "{\"return\": \"thawed\"}");
    }
    EXPECT_FALSE(served.is_asked(0));
}

TEST(Conversation, ARequestBehindAFreezeTellsTheStateAfterIt) {
    Served served;
    served.say(request("guest-fsfreeze-freeze") + request("guest-fsfreeze-status") + request("guest-info"));
    const ipc::Request asked = served.asked();
    served.reply(state(true));
    ipc::Reply frozen;
    frozen.set_seq(asked.seq());
    frozen.mutable_fsfreeze_freeze()->set_count(2);
    served.reply(frozen);
    EXPECT_EQ(served.line(), "{\"return\": 2}");
    EXPECT_EQ(served.line(), "{\"return\": \"frozen\"}");
    EXPECT_NE(served.line().find(R"({"enabled": false, "name": "guest-fsfreeze-freeze")"), std::string::npos);
}

TEST(Conversation, ManyPipelinedRequestsGetOneLineEach) {
    Served served;
    std::string all;
    for (int at = 0; at < 5000; ++at) all += sync(at);
    served.say(all);
    for (int at = 0; at < 5000; ++at) ASSERT_EQ(served.line(), "{\"return\": " + std::to_string(at) + "}");
}

TEST(Conversation, AByteAtATimeIsARequestAllTheSame) {
    Served served;
    for (const char one : sync(5)) served.say({&one, 1});
    EXPECT_EQ(served.line(), "{\"return\": 5}");
}

TEST(Conversation, ACommandOfTheBrokerIsAskedAndAnswered) {
    Served served;
    served.say(R"({"execute":"guest-file-open","arguments":{"path":"/a"},"id":"x"})");
    const ipc::Request asked = served.asked();
    EXPECT_EQ(asked.ShortDebugString(), R"(seq: 1 file_open { path: "/a" })");
    served.reply(opened(asked, 1000));
    EXPECT_EQ(served.line(), R"({"return": 1000, "id": "x"})");
}

TEST(Conversation, RepliesComeInTheOrderOfRequests) {
    Served served;
    served.say(open_file() + ping() + "GARBAGE\n" + open_file() + sync(9));
    const ipc::Request first = served.asked();
    EXPECT_FALSE(served.host_has_input(0));
    served.reply(opened(first, 1000));
    EXPECT_EQ(served.line(), "{\"return\": 1000}");
    EXPECT_EQ(served.line(), kPong);
    EXPECT_EQ(served.line(),
              R"({"error": {"class": "GenericError", "desc": "JSON parse error, syntax error"}})");
    const ipc::Request second = served.asked();
    EXPECT_EQ(second.seq(), 2U);
    EXPECT_FALSE(served.host_has_input(0));
    served.reply(opened(second, 1001));
    EXPECT_EQ(served.line(), "{\"return\": 1001}");
    EXPECT_EQ(served.line(), "{\"return\": 9}");
}

TEST(Conversation, RequestsBehindASlowOneAreAllAnsweredAtLast) {
    Served served;
    std::string all = open_file();
    for (std::size_t at = 0; at < 5 * kMaxQueued; ++at) all += ping();
    served.say(all);
    served.reply(opened(served.asked(), 1000));
    EXPECT_EQ(served.line(), "{\"return\": 1000}");
    for (std::size_t at = 0; at < 5 * kMaxQueued; ++at) ASSERT_EQ(served.line(), kPong);
}

TEST(Conversation, ADisabledCommandIsReportedAndNotFound) {
    CommandSet disabled;
    disabled.add(CommandId::kFileOpen);
    Served served(ipc::Welcome::STREAM, disabled);
    served.say(R"({"execute":"guest-file-open","arguments":{"wrong":1},"id":4})");
    const ipc::Request asked = served.asked();
    EXPECT_EQ(asked.command_disabled().command(), static_cast<std::uint32_t>(CommandId::kFileOpen));
    ipc::Reply reply;
    reply.set_seq(asked.seq());
    reply.mutable_error()->set_reason(ipc::DISABLED);
    served.reply(reply);
    EXPECT_EQ(
        served.line(),
        R"({"id": 4, "error": {"class": "CommandNotFound", "desc": "Command guest-file-open has been disabled: )"
        R"(the command is not allowed"}})");
}

TEST(Conversation, AnErrorOfTheBrokerIsToldWithTheIdInFront) {
    Served served;
    served.say(R"({"execute":"guest-file-close","arguments":{"handle":999},"id":1})");
    const ipc::Request asked = served.asked();
    ipc::Reply reply;
    reply.set_seq(asked.seq());
    reply.mutable_error()->set_reason(ipc::BAD_HANDLE);
    served.reply(reply);
    EXPECT_EQ(served.line(),
              R"({"id": 1, "error": {"class": "GenericError", "desc": "handle '999' has not been found"}})");
}

TEST(Conversation, AnEmptyResultIsAnEmptyObject) {
    Served served;
    served.say(request("guest-file-flush", R"({"handle":1000})"));
    ipc::Reply reply;
    reply.set_seq(served.asked().seq());
    reply.mutable_file_flush();
    served.reply(reply);
    EXPECT_EQ(served.line(), kPong);
}

TEST(Conversation, APathOverTheLimitIsAskedShorterAndToldWhole) {
    Served served;
    const std::string path = "/" + std::string(300'000, 'x');
    served.say(request("guest-file-open", R"({"path":")" + path + "\"}"));
    const ipc::Request asked = served.asked();
    EXPECT_GT(asked.file_open().path().size(), kMaxPath);
    EXPECT_LE(asked.file_open().path().size(), kMaxPath + 4);
    ipc::Reply reply;
    reply.set_seq(asked.seq());
    reply.mutable_error()->set_reason(ipc::SYSTEM);
    reply.mutable_error()->set_sys_errno(ENAMETOOLONG);
    served.reply(reply);
    EXPECT_EQ(served.line(), R"({"error": {"class": "GenericError", "desc": "failed to open file ')" + path +
                                 R"(' (mode: 'r'): File name too long"}})");
}

TEST(Conversation, AHostThatDoesNotReadIsNotReadFromForEver) {
    Served served;
    const std::string chatter = R"({"execute":"guest-ping","id":")" + std::string(100'000, 'i') + "\"}\n";
    // Until the agent takes nothing more: its own bounds, and what two sockets hold.
    std::size_t taken = 0;
    std::string_view rest = chatter;
    for (;;) {
        pollfd wanted{.fd = served.host_fd(), .events = POLLOUT, .revents = 0};
        if (::poll(&wanted, 1, 1000) == 0) break;
        const ssize_t size = ::send(served.host_fd(), rest.data(), rest.size(), MSG_DONTWAIT);
        ASSERT_GT(size, 0);
        taken += static_cast<std::size_t>(size);
        rest.remove_prefix(static_cast<std::size_t>(size));
        if (rest.empty()) rest = chatter;
        ASSERT_LT(taken, 8 * kMaxUnsent);
    }
    const std::size_t whole = taken / chatter.size();
    for (std::size_t at = 0; at < whole; ++at)
        ASSERT_EQ(served.line().size(), std::string_view(R"({"return": {}, "id": ""})").size() + 100'000);
}

}  // namespace
}  // namespace sallyport::worker::test
