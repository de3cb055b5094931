// A host that attacks the worker with bytes: it is answered or ignored, and leaves no process, descriptor or
// memory growth behind. The floor stays reachable: guest-sync, guest-sync-delimited, guest-ping, guest-info.
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>

#include "ipc/limits.hpp"
#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

using namespace std::string_literals;

const std::string kPong = "{\"return\": {}}";
const std::string kPing = command("guest-ping");
constexpr milliseconds kLong{60'000};

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "work"
why = "a folder to work in"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read", "write", "create"] }]
)";

std::string repeat(std::string_view text, std::size_t times) {
    std::string all;
    all.reserve(text.size() * times);
    for (std::size_t at = 0; at < times; ++at) all += text;
    return all;
}

/// What the processes of an agent hold; to be the same after an attack.
struct Holdings {
    std::size_t processes = 0;
    std::size_t descriptors = 0;
    std::size_t memory_kib = 0;
    [[nodiscard]] bool is_as_many_as(const Holdings& other) const {
        return processes == other.processes && descriptors == other.descriptors;
    }
};

Holdings holdings(const Agent& agent) {
    Holdings sum;
    for (const pid_t process : agent.processes()) {
        ++sum.processes;
        sum.descriptors += count_descriptors(process);
        sum.memory_kib += own_memory_kib(process);
    }
    return sum;
}

class HostileHost : public testing::Test {
protected:
    static constexpr std::size_t kSlackKib = 6144;

    void SetUp() override {
        ASSERT_TRUE(agent_.is_serving()) << agent_.messages();
        ASSERT_EQ(host_.ask(kPing), kPong);
        settle_log(agent_.state());
        // A clerk of the files hand is started beside us.
        EXPECT_TRUE(eventually([this] {
            const Holdings now = holdings(agent_);
            return std::exchange(before_, now).is_as_many_as(now);
        }));
    }

    /// Sends bytes while throwing away what comes back, up to the answer of a delimited sync.
    std::size_t attack(std::string_view bytes, milliseconds patience = kLong) {
        host_.send(bytes, patience);
        host_.send("\n\xff" + command("guest-sync-delimited", "{\"id\":31337}"));
        std::size_t lines = 0;
        for (;;) {
            const std::string line = host_.line(patience);
            if (line.ends_with("\xff{\"return\": 31337}")) return lines;
            ++lines;
        }
    }

    void expect_unharmed() {
        EXPECT_EQ(host_.ask(kPing), kPong);
        EXPECT_EQ(host_.ask(command("guest-sync", "{\"id\":5}")), "{\"return\": 5}");
        // A request that was given up holds its memory until the broker has answered it.
        EXPECT_TRUE(eventually([this] {
            return holdings(agent_).memory_kib <= before_.memory_kib + kSlackKib;
        })) << holdings(agent_).memory_kib
            << " KiB, before " << before_.memory_kib;
        EXPECT_TRUE(eventually([this] { return holdings(agent_).is_as_many_as(before_); }));
        EXPECT_EQ(agent_.count_audit("verdict", "violation"), 0U);
        EXPECT_EQ(agent_.count_audit("what", "worker-ended"), 0U) << "the worker did not survive";
    }

    Agent agent_{{.policy = kPolicy,
                  .prepare = [](const Scratch& scratch) { scratch.write("work/file", "contents"); }}};
    HostClient host_ = agent_.connect();
    Holdings before_;
};

struct Flood {
    const char* name;
    std::string (*bytes)();
    std::size_t most_lines;  // of answers
};

class Floods : public HostileHost, public testing::WithParamInterface<Flood> {};

TEST_P(Floods, AreAnsweredBrieflyAndLeaveNothing) {
    EXPECT_LE(attack(GetParam().bytes()), GetParam().most_lines);
    expect_unharmed();
}

std::string valid_with_id(const std::string& id) {
    return R"({"execute":"guest-ping","id":)" + id + "}\n";
}

// clang-format off
const Flood kFloods[] = {
    {"BracketsWithoutEnd",           [] { return std::string(1'000'000, '['); }, 1},
    {"BracesWithoutEnd",             [] { return repeat("{\"a\":", 300'000); }, 1},
    {"NestingAtTheLimit",            [] { return valid_with_id(std::string(1023, '[') + std::string(1023, ']')); }, 1},
    {"NestingOverTheLimit",          [] { return valid_with_id(std::string(1024, '[') + std::string(1024, ']')); }, 1},
    {"ClosingBracketsOnOneLine",     [] { return std::string(1'000'000, ']'); }, 1},
    {"TokensOverTheLimit",           [] { return "{\"id\":[" + repeat("1,", kMaxTokens) + "1]}"; }, 1},
    {"EmptyArraysOverTheLimit",      [] { return "[" + repeat("[],", kMaxTokens) + "[]]"; }, 1},
    {"MembersByTheHundredThousand",  [] { std::string text = "{"; for (int at = 0; at < 200'000; ++at) text += "\"k" + std::to_string(at) + "\":0,"; return text + "\"execute\":\"guest-ping\"}"; }, 1},
    {"DuplicateKeysByTheThousand",   [] { return "{" + repeat("\"a\":1,", 100'000) + "\"a\":1}"; }, 1},
    {"KeysThatAgreeInTheirStart",    [] { std::string text = "{"; const std::string start(200, 'k'); for (int at = 0; at < 20'000; ++at) text += "\"" + start + std::to_string(at) + "\":0,"; return text + "\"z\":0}"; }, 1},
    {"StringOverTheLimit",           [] { return "\"" + std::string(kMaxValueSize + 1, 'x') + "\""; }, 1},
    {"StringWithoutEnd",             [] { return "{\"execute\":\"" + std::string(10'000'000, 'x'); }, 1},
    {"NumberOfAMillionDigits",       [] { return valid_with_id(std::string(1'000'000, '9')); }, 1},
    {"FractionOfAMillionDigits",     [] { return valid_with_id("0." + std::string(1'000'000, '3')); }, 1},
    {"ExponentOfAMillionDigits",     [] { return valid_with_id("1e" + std::string(1'000'000, '9')); }, 1},
    {"IdOfAMegabyte",                [] { return valid_with_id("\"" + std::string(1'000'000, 'i') + "\""); }, 1},
    {"CommandNameOfAMegabyte",       [] { return R"({"execute":")" + std::string(1'000'000, 'n') + "\"}"; }, 1},
    {"PathOfAMegabyte",              [] { return command("guest-file-open", R"({"path":"/)" + std::string(1'000'000, 'p') + "\"}"); }, 1},
    {"ModeOfAMegabyte",              [] { return command("guest-file-open", R"({"path":"/x","mode":")" + std::string(1'000'000, 'm') + "\"}"); }, 1},
    {"UnexpectedArgumentOfAMegabyte", [] { return command("guest-ping", "{\"" + std::string(1'000'000, 'u') + "\":1}"); }, 1},
    {"DataOfSixtyMegabytesToNobody", [] { return command("guest-file-write", R"({"handle":1,"buf-b64":")" + std::string(60'000'000, 'A') + "\"}"); }, 1},
    {"ReadOfTheLargestCountOfNobody", [] { return command("guest-file-read", R"({"handle":1,"count":50331648})"); }, 1},
    {"SeekOfNobody",                 [] { return command("guest-file-seek", R"({"handle":-1,"offset":-1,"whence":-1})"); }, 1},
    {"FlushAndCloseOfNobody",        [] { return command("guest-file-flush", R"({"handle":9223372036854775807})") + command("guest-file-close", R"({"handle":-9223372036854775808})"); }, 2},
    {"GarbageWithoutLineEnd",        [] { return std::string(20'000'000, 'G'); }, 1},
    {"SpacesWithoutEnd",             [] { return std::string(20'000'000, ' '); }, 0},
    {"LineEndsWithoutEnd",           [] { return std::string(5'000'000, '\n'); }, 0},
    {"NulsWithoutEnd",               [] { return std::string(5'000'000, '\0'); }, 1},
    {"ResetsWithoutEnd",             [] { return std::string(5'000'000, '\xff'); }, 0},
    {"HalfRequestsAndResets",        [] { return repeat("{\"execute\":\"guest-ping\xff", 200'000); }, 0},
    {"BrokenUtf8",                   [] { return repeat("\"\xc3\x28\"", 100'000); }, 1},
    {"EveryByteOnce",                [] { std::string text; for (int byte = 0; byte < 256; ++byte) text.push_back(static_cast<char>(byte)); return text; }, 40},
    {"EveryByteInAString",           [] { std::string text; for (int byte = 0; byte < 255; ++byte) { text += "{\"execute\":\""; text.push_back(static_cast<char>(byte)); text += "\"}\n"; } return text; }, 300},
    {"SurrogatesWithoutPartners",    [] { return repeat("\"\\ud800\"\n", 10'000); }, 10'000},
    {"StatusByTheThousand",          [] { return repeat(command("guest-fsfreeze-status"), 20'000); }, 20'000},
    {"InfoByTheThousand",            [] { return repeat(command("guest-info"), 20'000); }, 20'000},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(, Floods, testing::ValuesIn(kFloods), case_name<Flood>);

/// A thousand malformed messages, each different from the last, each ended by a line end and a reset.
std::string malformed_thousand(std::uint32_t& state) {
    constexpr std::string_view kShapes[] = {
        "{\"execute\":\"guest-nothing\"}",
        "{]",
        "garbage",
        "{\"execute\":5}",
        "[1,2",
        "\"half",
        "{\"execute\":\"guest-sync\",\"arguments\":{}}",
        "{'a':1}",
        "\x01\x02\x03",
        "{\"execute\":\"guest-file-read\",\"arguments\":{\"handle\":\"x\"}}",
        "tru",
        "-",
        "{\"a\":{\"a\":{\"a\":",
        "{\"execute\":\"guest-file-open\",\"arguments\":{\"path\":\"/x\",\"path\":\"/y\"}}",
        "\xc3\x28",
        "{\"id\":1e999999}",
    };
    std::string text;
    for (int at = 0; at < 1000; ++at) {
        state = state * 1664525U + 1013904223U;
        std::string one(kShapes[(state >> 16U) % std::size(kShapes)]);
        one[(state >> 8U) % one.size()] = static_cast<char>(state >> 24U);
        text += one + "\n\xff";
    }
    return text;
}

TEST_F(HostileHost, OneMillionMalformedMessagesLeaveNothing) {
    std::uint32_t state = 1;
    // The first rounds warm the allocator up; what it holds then is all it ever holds.
    std::size_t answers = 0;
    for (int round = 0; round < 50; ++round) answers += attack(malformed_thousand(state));
    before_ = holdings(agent_);
    for (int round = 0; round < 950; ++round) answers += attack(malformed_thousand(state));
    EXPECT_GT(answers, 500'000U) << "most of them are malformed enough to be told so";
    expect_unharmed();
}

TEST_F(HostileHost, PipelinedRequestsAreAllAnsweredInOrder) {
    constexpr int kCount = 20'000;
    std::string requests;
    for (int at = 0; at < kCount; ++at)
        requests += command("guest-sync", "{\"id\":" + std::to_string(at) + "}");
    host_.send(requests, kLong);
    for (int at = 0; at < kCount; ++at) ASSERT_EQ(host_.line(), "{\"return\": " + std::to_string(at) + "}");
    expect_unharmed();
}

TEST_F(HostileHost, PipelinedRequestsToTheBrokerAreAllAnsweredInOrder) {
    constexpr int kCount = 5'000;
    std::string requests;
    for (int at = 0; at < kCount; ++at)
        requests +=
            "{\"execute\":\"guest-file-flush\",\"arguments\":{\"handle\":1},\"id\":" + std::to_string(at) +
            "}\n";
    host_.send(requests, kLong);
    for (int at = 0; at < kCount; ++at)
        ASSERT_TRUE(host_.line().starts_with("{\"id\": " + std::to_string(at) + ","));
    expect_unharmed();
}

TEST_F(HostileHost, OneByteAtATimeIsUnderstood) {
    const std::string request = command("guest-sync", "{\"id\":77}");
    for (int round = 0; round < 20; ++round) {
        for (const char byte : request) host_.send(std::string(1, byte));
        EXPECT_EQ(host_.line(), "{\"return\": 77}");
    }
    expect_unharmed();
}

TEST_F(HostileHost, HalfARequestHoldsUpNothing) {
    host_.send("{\"execute\":\"guest-file-open\",\"arguments\":{\"path\":\"");
    const unsigned long before = cpu_ticks(agent_.worker());
    EXPECT_FALSE(wait_for(host_.descriptor(), POLLIN, Deadline(milliseconds(300))));
    EXPECT_EQ(cpu_ticks(agent_.worker()), before);
    host_.send("\xff");
    expect_unharmed();
}

TEST_F(HostileHost, SlowReaderGetsEverythingAndHoldsUpOnlyItself) {
    constexpr std::size_t kCount = 100;
    const std::string request = R"({"execute":"guest-ping","id":")" + std::string(100'000, 's') + "\"}\n";
    const std::string all = repeat(request, kCount);
    std::size_t sent = 0;
    while (sent < all.size() && wait_for(host_.descriptor(), POLLOUT, Deadline(milliseconds(200))))
        sent += host_.send_some(std::string_view(all).substr(sent));
    EXPECT_LT(sent, all.size()) << "the worker takes everything from a host that reads nothing";
    EXPECT_LE(holdings(agent_).memory_kib, before_.memory_kib + kSlackKib);
    host_.send(std::string_view(all).substr(sent), kLong);
    for (std::size_t at = 0; at < kCount; ++at) ASSERT_TRUE(host_.line(kLong).ends_with("sss\"}"));
    expect_unharmed();
}

TEST_F(HostileHost, ReplyOfAHugeIdIsWhole) {
    const std::string id(10'000'000, 'h');
    EXPECT_EQ(host_.ask(R"({"execute":"guest-ping","id":")" + id + "\"}\n", kLong),
              "{\"return\": {}, \"id\": \"" + id + "\"}");
    expect_unharmed();
}

TEST(ConnectionChurn, OneThousandConnectionsLeaveNothing) {
    Agent agent({});
    ASSERT_TRUE(agent.is_serving());
    {
        EXPECT_EQ(HostClient(agent.socket()).ask(kPing), kPong);
    }
    ASSERT_TRUE(eventually([&] { return agent.count_audit("what", "worker-ended") == 1; }));
    const Holdings before = holdings(agent);
    constexpr std::size_t kConnections = 1000;
    for (std::size_t at = 0; at < kConnections; ++at) {
        HostClient host = agent.connect();
        if (at % 3 == 0) host.send("{\"execute\":");
        if (at % 3 == 1) host.send(kPing);
        if (at % 3 == 2) {
            ASSERT_EQ(host.ask(kPing), kPong);
        }
    }
    ASSERT_EQ(HostClient(agent.socket()).ask(kPing), kPong);
    // Lines about so many connections are counted, not written; the last worker ends as all others.
    ASSERT_TRUE(eventually([&] { return holdings(agent).processes == before.processes; }));
    const Holdings after = holdings(agent);
    EXPECT_EQ(after.processes, before.processes);
    EXPECT_EQ(after.descriptors, before.descriptors);
    EXPECT_LE(after.memory_kib, before.memory_kib + 512);
    EXPECT_EQ(first_broken_link(audit_lines(agent.audit_file())), -1);
    EXPECT_EQ(agent.stop(), 0);
}

}  // namespace
}  // namespace sallyport::test
