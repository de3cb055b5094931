// What ends, stops or floods one part costs at most the request in flight.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>

#include "ipc/limits.hpp"
#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/process.hpp"
#include "tests/support/terminal.hpp"

namespace sallyport::test {
namespace {

const std::string kPong = "{\"return\": {}}";
constexpr std::size_t kLargest = kMaxReadCount;
constexpr milliseconds kOneSecond{1000};

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "work"
why = "a folder to work in"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read", "write", "create"], kinds = ["regular", "fifo"] }]
)";

/// Bytes in which every place can be told from every other near it.
std::string pattern(std::size_t size) {
    std::string bytes(size, '\0');
    std::uint32_t state = 12345;
    for (char& byte : bytes) {
        state = state * 1664525U + 1013904223U;
        byte = static_cast<char>(state >> 24U);
    }
    return bytes;
}

AgentOptions options() {
    return {.policy = kPolicy, .prepare = [](const Scratch& scratch) {
                scratch.write("work/small", "contents");
                scratch.write("work/large", pattern(kLargest));
            }};
}

class Robustness : public testing::Test {
protected:
    std::string open(HostClient& host, const std::string& name, const std::string& mode = "r") const {
        const std::string path = agent_.scratch().path("work/" + name);
        const std::string reply = host.ask(
            command("guest-file-open", members({{"path", in_quotes(path)}, {"mode", in_quotes(mode)}})));
        return std::to_string(handle_of(reply));
    }
    static std::string read_request(const std::string& handle, std::size_t count) {
        return command("guest-file-read", members({{"handle", handle}, {"count", std::to_string(count)}}));
    }
    Agent agent_{options()};
};

TEST_F(Robustness, LargestReadIsWhole) {
    HostClient host = agent_.connect();
    const std::string handle = open(host, "large");
    const auto reply = result_of(host.ask(read_request(handle, kLargest), milliseconds(60'000)));
    EXPECT_EQ(reply.at("count").to_number<std::size_t>(), kLargest);
    EXPECT_FALSE(reply.at("eof").as_bool());
    EXPECT_TRUE(from_base64(reply.at("buf-b64").as_string()) == pattern(kLargest));
}

TEST_F(Robustness, LargestWriteIsWhole) {
    HostClient host = agent_.connect();
    const std::string handle = open(host, "written", "w+");
    // A value may have 64 MiB in all; 48 MiB of data are exactly that much base64, so a little less.
    const std::string data = pattern(kLargest - 3072);
    const std::string request =
        command("guest-file-write", members({{"handle", handle}, {"buf-b64", in_quotes(base64(data))}}));
    EXPECT_EQ(host.ask(request, milliseconds(60'000)),
              "{\"return\": {\"count\": " + std::to_string(data.size()) + ", \"eof\": false}}");
    EXPECT_TRUE(read_file(agent_.scratch().path("work/written")) == data);
}

TEST_F(Robustness, ReadsOfAllSizesAroundTheChunksAreWhole) {
    HostClient host = agent_.connect();
    const std::string whole = pattern(kLargest);
    for (const std::size_t size : {std::size_t{1}, kChunk - 1, kChunk, kChunk + 1, 2 * kChunk - 1,
                                   kArenaData - 1, kArenaData, kArenaData + 1, 5 * kChunk + 7}) {
        const std::string handle = open(host, "large");
        const auto reply = result_of(host.ask(read_request(handle, size)));
        EXPECT_EQ(reply.at("count").to_number<std::size_t>(), size);
        EXPECT_TRUE(from_base64(reply.at("buf-b64").as_string()) == whole.substr(0, size)) << size;
        host.ask(command("guest-file-close", members({{"handle", handle}})));
    }
}

TEST_F(Robustness, WritesOfAllSizesAroundTheChunksAreWhole) {
    HostClient host = agent_.connect();
    const std::string whole = pattern(kLargest);
    for (const std::size_t size : {std::size_t{1}, kChunk - 1, kChunk, kChunk + 1, kArenaData - 1, kArenaData,
                                   kArenaData + 1, 5 * kChunk + 7}) {
        const std::string handle = open(host, "written", "w");
        const std::string data = whole.substr(0, size);
        host.ask(
            command("guest-file-write", members({{"handle", handle}, {"buf-b64", in_quotes(base64(data))}})));
        EXPECT_TRUE(read_file(agent_.scratch().path("work/written")) == data) << size;
        host.ask(command("guest-file-close", members({{"handle", handle}})));
    }
}

class EverySignal : public Robustness, public testing::WithParamInterface<int> {};

TEST_P(EverySignal, ToTheWorkerBetweenRequestsCostsNothing) {
    HostClient host = agent_.connect();
    ASSERT_EQ(host.ask(command("guest-ping")), kPong);
    ASSERT_TRUE(send_signal(agent_.idle_worker(), GetParam()));
    EXPECT_EQ(host.ask(command("guest-ping"), kOneSecond), kPong);
    EXPECT_EQ(handle_of(host.ask(command(
                  "guest-file-open", members({{"path", in_quotes(agent_.scratch().path("work/small"))}})))),
              1000);
}

std::vector<int> ending_signals() {
    std::vector<int> numbers;
    for (int number = 1; number <= 31; ++number)
        if (number != SIGSTOP && number != SIGCONT) numbers.push_back(number);
    return numbers;
}
INSTANTIATE_TEST_SUITE_P(, EverySignal, testing::ValuesIn(ending_signals()),
                         [](const auto& row) { return "Signal" + std::to_string(row.param); });

TEST_F(Robustness, WorkerKilledInTheMiddleOfALargestReadCostsThatReadOnly) {
    HostClient host = agent_.connect();
    const std::string handle = open(host, "large");
    for (int round = 0; round < 3; ++round) {
        host.send(read_request(handle, kLargest));
        const std::string begun = host.bytes(std::size_t{1} << 20U);
        ASSERT_TRUE(send_signal(agent_.worker(), SIGKILL));
        // What was begun ends somewhere; the host drops everything up to the mark.
        const auto asked = Clock::now();
        host.send("\xff" + command("guest-sync-delimited", "{\"id\":" + std::to_string(round) + "}"));
        std::string rest;
        do rest = host.line();
        while (rest.find('\xff') == std::string::npos);
        EXPECT_LT(Clock::now() - asked, kOneSecond);
        EXPECT_EQ(rest.substr(rest.rfind('\xff') + 1), "{\"return\": " + std::to_string(round) + "}");
        EXPECT_EQ(host.ask(command("guest-ping"), kOneSecond), kPong);
    }
    EXPECT_EQ(host.ask(command("guest-file-close", members({{"handle", handle}}))), kPong);
}

TEST_F(Robustness, WorkerKilledInTheMiddleOfAWriteCostsThatWriteOnly) {
    HostClient host = agent_.connect();
    const std::string handle = open(host, "written", "w");
    const std::string request =
        command("guest-file-write",
                members({{"handle", handle}, {"buf-b64", in_quotes(base64(pattern(kLargest / 2)))}}));
    const pid_t worker = agent_.worker();
    host.send(request.substr(0, request.size() / 2));
    ASSERT_TRUE(send_signal(worker, SIGKILL));
    ASSERT_TRUE(eventually([&] { return agent_.worker() != worker; }));
    // The rest of the request is garbage to the new worker, until the reset.
    host.send(request.substr(request.size() / 2));
    host.send("\xff" + command("guest-sync-delimited", "{\"id\":1}"));
    std::string line;
    do line = host.line();
    while (!line.starts_with('\xff'));
    EXPECT_EQ(line, "\xff{\"return\": 1}");
    EXPECT_EQ(host.ask(command("guest-ping"), kOneSecond), kPong);
}

TEST_F(Robustness, KilledWorkersLeaveNothingBehind) {
    HostClient host = agent_.connect();
    ASSERT_EQ(host.ask(command("guest-ping")), kPong);
    const std::size_t broker = count_descriptors(agent_.broker().pid());
    const std::size_t nursery = count_descriptors(agent_.nursery());
    for (int round = 0; round < 5; ++round) {
        ASSERT_TRUE(send_signal(agent_.idle_worker(), SIGKILL));
        ASSERT_EQ(host.ask(command("guest-ping")), kPong);
    }
    EXPECT_EQ(count_descriptors(agent_.broker().pid()), broker);
    EXPECT_EQ(count_descriptors(agent_.nursery()), nursery);
    EXPECT_EQ(agent_.processes().size(),
              7U);  // broker, nursery, worker, both of the recorder, files and its clerk
}

TEST_F(Robustness, NurserysEndEndsTheServiceForAManagerToStartAgain) {
    HostClient host = agent_.connect();
    ASSERT_EQ(host.ask(command("guest-ping")), kPong);
    const auto all = agent_.processes();
    ASSERT_TRUE(send_signal(agent_.nursery(), SIGKILL));
    const auto ending = agent_.broker().wait();
    ASSERT_TRUE(ending);
    EXPECT_GT(*ending, 0);
    for (const pid_t process : all) EXPECT_TRUE(eventually([&] { return !is_running(process); }));
    agent_.restart();
    EXPECT_EQ(HostClient(agent_.socket()).ask(command("guest-ping")), kPong);
}

TEST_F(Robustness, NoRoomForAWorkerCostsTheHostTimeOnly) {
    ASSERT_TRUE(agent_.is_serving());
    rlimit before{};
    ASSERT_EQ(::prlimit(agent_.nursery(), RLIMIT_NPROC, nullptr, &before), 0);
    const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
    ASSERT_EQ(::prlimit(agent_.nursery(), RLIMIT_NPROC, &none, nullptr), 0);
    HostClient host = agent_.connect();
    EXPECT_TRUE(eventually([&] { return agent_.count_audit("what", "worker-ended") > 1; }));
    ASSERT_EQ(::prlimit(agent_.nursery(), RLIMIT_NPROC, &before, nullptr), 0);
    EXPECT_EQ(host.ask(command("guest-ping")), kPong);
}

TEST(StandardError, OfATerminalThatNobodyReadsHoldsNothingUp) {
    const Terminal terminal = open_terminal();
    AgentOptions wanted = options();
    wanted.policy = std::string(kPolicy) + "[audit]\njournal = \"all\"\n";
    wanted.before_exec = [&] { ::dup2(terminal.slave.get(), STDERR_FILENO); };
    Agent agent(wanted);
    ASSERT_TRUE(agent.is_serving());
    HostClient host = agent.connect();
    const std::string open =
        command("guest-file-open",
                members({{"path", in_quotes(agent.scratch().path("work/small"))}, {"mode", in_quotes("r")}}));
    for (int at = 0; at < 300; ++at) {
        const std::string handle = std::to_string(handle_of(host.ask(open)));
        ASSERT_EQ(host.ask(command("guest-file-close", members({{"handle", handle}}))), kPong) << at;
    }
    EXPECT_EQ(agent.count_audit("what", "guest-file-open"), 300U);
}

TEST_F(Robustness, BrokersEndEndsAllProcesses) {
    HostClient host = agent_.connect();
    ASSERT_EQ(host.ask(command("guest-ping")), kPong);
    const auto all = agent_.processes();
    agent_.broker().signal(SIGKILL);
    for (const pid_t process : all) EXPECT_TRUE(eventually([&] { return !is_running(process); }));
    EXPECT_TRUE(host.is_closed());
}

/// Stops a process for as long as it lives.
class Stopped {
public:
    explicit Stopped(pid_t process) : process_(process) {
        send_signal(process, SIGSTOP);
        eventually([process] { return state_of(process) == 'T'; });
    }
    Stopped(const Stopped&) = delete;
    Stopped& operator=(const Stopped&) = delete;
    ~Stopped() { send_signal(process_, SIGCONT); }

private:
    pid_t process_;
};

class SlowBroker : public Robustness {
protected:
    // Each request has one reply, also one that nobody waits for any more.
    const std::string kGivenUp = error_line("the agent has given up waiting for this request");
    HostClient host_ = agent_.connect();
    std::string open_request_ =
        command("guest-file-open", members({{"path", in_quotes(agent_.scratch().path("work/small"))}}));
};

TEST_F(SlowBroker, SyncIsAnsweredAfterTwoSecondsAndTheLateReplyIsDroppedAndAudited) {
    ASSERT_EQ(host_.ask(command("guest-ping")), kPong);
    const std::size_t before = count_descriptors(agent_.broker().pid());
    {
        const Stopped stopped(agent_.broker().pid());
        host_.send(open_request_);
        const auto asked = Clock::now();
        host_.send(command("guest-sync", "{\"id\":42}"));
        EXPECT_EQ(host_.line(), kGivenUp);
        EXPECT_EQ(host_.line(), "{\"return\": 42}");
        const auto waited = Clock::now() - asked;
        EXPECT_GE(waited, milliseconds(1800));
        EXPECT_LT(waited, milliseconds(3500));
    }
    EXPECT_TRUE(eventually([&] { return agent_.count_audit("verdict", "drop") == 1; }));
    EXPECT_TRUE(eventually([&] { return count_descriptors(agent_.broker().pid()) == before; }))
        << "the handle is not closed";
    EXPECT_EQ(host_.ask(command("guest-file-close", "{\"handle\":1000}")),
              error_line("handle '1000' has not been found"));
    EXPECT_EQ(host_.ask(open_request_), "{\"return\": 1001}");
}

TEST_F(SlowBroker, ResetIsAnsweredAtOnce) {
    ASSERT_EQ(host_.ask(command("guest-ping")), kPong);
    {
        const Stopped stopped(agent_.broker().pid());
        host_.send(open_request_);
        host_.send("\xff" + command("guest-sync-delimited", "{\"id\":7}"));
        EXPECT_EQ(host_.line(kOneSecond), kGivenUp);
        EXPECT_EQ(host_.line(kOneSecond), "\xff{\"return\": 7}");
    }
    EXPECT_TRUE(eventually([&] { return agent_.count_audit("verdict", "drop") == 1; }));
}

TEST_F(SlowBroker, UntilTheSlowCommandEndsTheFloorIsAnsweredAndTheRestIsBusy) {
    ASSERT_EQ(host_.ask(command("guest-ping")), kPong);
    {
        const Stopped stopped(agent_.broker().pid());
        host_.send(open_request_);
        host_.send("\xff" + command("guest-sync", "{\"id\":7}"));
        EXPECT_EQ(host_.line(kOneSecond), kGivenUp);
        EXPECT_EQ(host_.line(kOneSecond), "{\"return\": 7}");
        EXPECT_EQ(host_.ask(command("guest-ping"), kOneSecond), kPong);
        EXPECT_EQ(class_of(host_.ask(command("guest-info"), kOneSecond)), "");
        const std::string busy = host_.ask(command("guest-file-flush", "{\"handle\":1}"), kOneSecond);
        EXPECT_EQ(class_of(busy), "GenericError") << busy;
    }
    EXPECT_TRUE(eventually([&] { return agent_.count_audit("verdict", "drop") == 1; }));
    EXPECT_EQ(host_.ask(command("guest-file-flush", "{\"handle\":1}")),
              error_line("handle '1' has not been found"));
}

TEST_F(SlowBroker, RepliesComeInTheOrderOfTheRequests) {
    {
        const Stopped stopped(agent_.broker().pid());
        host_.send(open_request_ + command("guest-ping") + command("guest-sync", "{\"id\":1}"));
    }
    EXPECT_EQ(host_.line(), "{\"return\": 1000}");
    EXPECT_EQ(host_.line(), kPong);
    EXPECT_EQ(host_.line(), "{\"return\": 1}");
}

std::size_t memory_of(const Agent& agent) {
    std::size_t sum = 0;
    for (const pid_t process : agent.processes()) sum += own_memory_kib(process);
    return sum;
}

unsigned long ticks_of(const Agent& agent) {
    unsigned long sum = 0;
    for (const pid_t process : agent.processes()) sum += cpu_ticks(process);
    return sum;
}

TEST_F(Robustness, HostThatNeverReadsCostsNeitherMemoryNorTime) {
    HostClient host = agent_.connect();
    const std::string handle = open(host, "large");
    const std::size_t memory = memory_of(agent_);
    std::string requests;
    for (int at = 0; at < 1000; ++at) requests += read_request(handle, kLargest) + command("guest-info");
    // Sends until nothing moves any more.
    std::size_t sent = 0;
    const Deadline deadline(milliseconds(20'000));
    while (sent < requests.size() && wait_for(host.descriptor(), POLLOUT, Deadline(milliseconds(300))) &&
           !deadline.is_over())
        sent += host.send_some(std::string_view(requests).substr(sent));
    // A window without any processor time must come, and soon.
    const bool is_idle = eventually([&] {
        const unsigned long before = ticks_of(agent_);
        wait_for(agent_.broker().descriptor(), POLLIN, Deadline(milliseconds(500)));
        return ticks_of(agent_) == before;
    });
    EXPECT_TRUE(is_idle);
    EXPECT_LT(memory_of(agent_), memory + 6 * 1024) << "KiB, from " << memory;
}

TEST_F(Robustness, LargestReadTakesLittleMemory) {
    HostClient host = agent_.connect();
    const std::string handle = open(host, "large");
    const std::size_t before = memory_of(agent_);
    host.send(read_request(handle, kLargest));
    std::size_t peak = 0;
    for (int megabyte = 0; megabyte < 60; ++megabyte) {
        host.bytes(std::size_t{1} << 20U);
        peak = std::max(peak, memory_of(agent_));
    }
    EXPECT_LT(peak, before + 6 * 1024) << "KiB, from " << before;
}

// Half a second after the start the code that only that took is given back; from then on there is nothing to do.
TEST_F(Robustness, WaitingForAHostTakesNoTime) {
    ASSERT_TRUE(agent_.is_serving());
    const bool is_idle = eventually([&] {
        const unsigned long before = ticks_of(agent_);
        EXPECT_FALSE(wait_for(agent_.broker().descriptor(), POLLIN, Deadline(kOneSecond)))
            << "the broker ended";
        return ticks_of(agent_) == before;
    });
    EXPECT_TRUE(is_idle);
    const unsigned long before = ticks_of(agent_);
    EXPECT_FALSE(wait_for(agent_.broker().descriptor(), POLLIN, Deadline(kOneSecond))) << "the broker ended";
    EXPECT_EQ(ticks_of(agent_), before);
}

}  // namespace
}  // namespace sallyport::test
