#include "inspector/child.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"

namespace sallyport::inspector {
namespace {

/// What a child says to that query, under a policy that allows guest-get-load and nothing else; and how it ends.
struct Heard {
    std::string first;
    int status = -1;
};
Heard ask(CommandId command) {
    CommandSet commands;
    commands.add(CommandId::kGetLoad);
    Sources sources = open_sources(commands);
    auto ends = ipc::socket_pair();
    if (!ends) return {};
    ipc::Query query;
    query.set_command(static_cast<std::uint32_t>(command));
    if (!ipc::say(ends->first, query, ipc::WhenFull::kFail)) return {};
    ::shutdown(ends->first.get(), SHUT_WR);
    const ipc::ReplyRules rules;
    Heard heard;
    heard.status = answer_queries(ends->second, {sources, rules, commands});
    ipc::Frame frame;
    if (ipc::receive(ends->first, frame).value_or(false)) heard.first = frame.bytes;
    return heard;
}

TEST(Child, AnswersWhatThePolicyAllowsAndEndsWhenABrokerThatWasTakenOverAsksForMore) {
    const Heard allowed = ask(CommandId::kGetLoad);
    ASSERT_FALSE(allowed.first.empty());
    EXPECT_EQ(allowed.first.front(), static_cast<char>(Word::kLast));
    EXPECT_EQ(allowed.status, 0);
    for (const CommandId more : {CommandId::kGetHostName, CommandId::kGetTime, CommandId::kFileOpen}) {
        const Heard refused = ask(more);
        EXPECT_EQ(refused.first, "") << command_row(more).name;
        EXPECT_EQ(refused.status, 1) << command_row(more).name;
    }
}

}  // namespace
}  // namespace sallyport::inspector
