// Connections end in every way and at every moment. An honest end is never a violation, costs no second worker, and the next
// host is served.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>

#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file", "@inspect"]
files = [{ under = "$D/work", access = ["read", "write", "create"] }]
)";
constexpr int kRounds = 40;
constexpr std::size_t kLarge = std::size_t{1} << 20U;
const std::string kPing = command("guest-ping");
const std::string kPong = "{\"return\": {}}";
// Handles outlive the connection that opened them.
const std::string kRead = command("guest-file-read", R"({"handle":1000,"count":1048576})");
const std::string kWrite =
    command("guest-file-write", R"({"handle":1001,"buf-b64":")" + base64(std::string(kLarge, 'w')) + "\"}");
const std::string kRewind = command("guest-file-seek", R"({"handle":1000,"offset":0,"whence":"set"})");

struct Shape {
    const char* name;
    std::function<void(HostClient&)> talk;  // then the host closes
};

std::string repeated(const std::string& text, int times) {
    std::string all;
    for (int at = 0; at < times; ++at) all += text;
    return all;
}

class Ending : public testing::TestWithParam<Shape> {
protected:
    Ending() {
        HostClient host = agent_.connect();
        for (const auto& [name, mode] : {std::pair{"read", "r"}, std::pair{"write", "w"}}) {
            const std::string path = agent_.scratch().path("work/") + name;
            host.ask(
                command("guest-file-open", members({{"path", in_quotes(path)}, {"mode", in_quotes(mode)}})));
        }
    }

    Agent agent_{AgentOptions{.policy = kPolicy, .prepare = [](const Scratch& scratch) {
                                  scratch.write("work/read", std::string(kLarge, 'r'));
                              }}};
};

TEST_P(Ending, IsNoViolationAndCostsTheNextHostNothing) {
    for (int round = 0; round < kRounds; ++round) {
        {
            HostClient host = agent_.connect();
            GetParam().talk(host);
        }
        HostClient next = agent_.connect();
        ASSERT_EQ(next.ask(kPing), kPong);
    }
    EXPECT_EQ(agent_.count_audit("verdict", "violation"), 0U);
    // A worker that is followed by another on its connection had ended badly: their numbers would run ahead.
    HostClient last = agent_.connect();
    last.ask(command("guest-file-open", members({{"path", in_quotes(agent_.scratch().path("work/read"))}})));
    EXPECT_EQ(text_of(agent_.audit().back(), "session"), std::to_string(2 + 2 * kRounds));
}

const Shape kShapes[] = {
    {"AtOnce", [](HostClient&) {}},
    {"HalfARequest", [](HostClient& host) { host.send(kPing.substr(0, 12)); }},
    {"Garbage", [](HostClient& host) { host.send("\xff]}garbage\n"); }},
    {"ReplyUnread", [](HostClient& host) { host.send(kPing); }},
    {"ManyRepliesUnread", [](HostClient& host) { host.send(repeated(kPing, 100)); }},
    {"ReplyOfTheInspectorUnread", [](HostClient& host) { host.send(command("guest-get-host-name")); }},
    {"RequestsOfTheBrokerUnread", [](HostClient& host) { host.send(repeated(kRewind, 50)); }},
    {"BeforeAReadBegins", [](HostClient& host) { host.send(kRewind + kRead); }},
    {"InTheMiddleOfARead",
     [](HostClient& host) {
         host.ask(kRewind);
         host.send(kRead);
         host.bytes(10'000);
     }},
    {"AtTheEndOfARead",
     [](HostClient& host) {
         host.ask(kRewind);
         host.ask(kRead);
     }},
    {"ManyReadsUnread", [](HostClient& host) { host.send(repeated(kRewind + kRead, 8)); }},
    {"InTheMiddleOfAWrite", [](HostClient& host) { host.send(kWrite.substr(0, kWrite.size() / 2)); }},
    {"AfterAWrite", [](HostClient& host) { host.send(kWrite); }},
    {"HalfClosed",
     [](HostClient& host) {
         host.send(kRewind + kRead + kPing);
         host.half_close();
         host.line();
         host.line();
         EXPECT_EQ(host.line(), kPong);
         EXPECT_TRUE(host.is_closed());
     }},
    {"HalfClosedInTheMiddleOfARead",
     [](HostClient& host) {
         host.send(kRewind + kRead);
         host.half_close();
         host.bytes(10'000);
     }},
    {"HalfClosedAndNothingRead",
     [](HostClient& host) {
         host.send(kRewind + kRead);
         host.half_close();
     }},
    {"DeafInTheMiddleOfARead",
     [](HostClient& host) {
         host.send(kRewind + kRead);
         host.bytes(10'000);
         ::shutdown(host.descriptor(), SHUT_RD);
     }},
};
INSTANTIATE_TEST_SUITE_P(, Ending, testing::ValuesIn(kShapes), case_name<Shape>);

}  // namespace
}  // namespace sallyport::test
