// guest-set-time, guest-set-vcpus and guest-set-memory-blocks by a whole agent: what the host and the log are told, and what goes on meanwhile.
#include <gtest/gtest.h>

#include <memory>

#include "tests/e2e/guest.hpp"
#include "tests/files/fuse_server.hpp"
#include "tests/setters/devices.hpp"
#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"

namespace sallyport::test {
namespace {

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "hardware"
commands = ["@hardware"]
time = { max_step = "5m" }
vcpus = { min_online = 2, cpus = "1-3" }
memory = { blocks = "0-2,9" }
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read"] }]
[[allow]]
id = "freeze"
commands = ["@freeze"]
freeze = { mounts = ["/nowhere"] }
)";

class Set : public testing::Test {
protected:
    static void SetUpTestSuite() { devices_ = std::make_unique<Devices>(); }
    static void TearDownTestSuite() { devices_.reset(); }
    void SetUp() override {
        devices_->reset();
        agent_.emplace(AgentOptions{.policy = kPolicy, .prepare = [](const Scratch& scratch) {
                                        scratch.write("work/file", "contents");
                                    }});
        ASSERT_TRUE(agent_->is_serving()) << agent_->messages();
        host_.emplace(agent_->connect());
    }
    std::string vcpus(const std::string& list) {
        return host_->ask(command("guest-set-vcpus", "{\"vcpus\":[" + list + "]}"));
    }
    std::string blocks(const std::string& list) {
        return host_->ask(command("guest-set-memory-blocks", "{\"mem-blks\":[" + list + "]}"));
    }
    std::string set_time(const std::string& ns) {
        return host_->ask(command("guest-set-time", ns.empty() ? "{}" : "{\"time\":" + ns + "}"));
    }
    static std::string cpu(int id, bool online) {
        return "{\"logical-id\":" + std::to_string(id) + ",\"online\":" + (online ? "true}" : "false}");
    }
    static std::string block(int index, bool online) {
        return "{\"phys-index\":" + std::to_string(index) + ",\"online\":" + (online ? "true}" : "false}");
    }
    static std::string returned(const std::string& value) { return "{\"return\": " + value + "}"; }
    // Refused by the policy: the words and the line of the log.
    void expect_refused(const std::string& reply, const std::string& action) {
        EXPECT_TRUE(desc_of(reply).starts_with(action + ": Operation not permitted (denial ")) << reply;
        EXPECT_EQ(text_of(agent_->audit().back(), "verdict"), "refuse");
    }
    static std::unique_ptr<Devices> devices_;
    std::optional<Agent> agent_;
    std::optional<HostClient> host_;
};
std::unique_ptr<Devices> Set::devices_;

TEST_F(Set, ProcessorsOfTheRuleAndNoOthers) {
    EXPECT_EQ(vcpus(cpu(1, false)), returned("1"));
    EXPECT_EQ(devices_->processor(1).front(), '0');
    expect_refused(vcpus(cpu(0, false)), "failed to set processors");
    expect_refused(vcpus(cpu(2, false) + "," + cpu(4, false)), "failed to set processors");
    EXPECT_EQ(devices_->processor(2).front(), '1')
        << "of a list that the rule does not cover nothing is done";
    EXPECT_EQ(vcpus(cpu(1, true)), returned("1"));
    EXPECT_EQ(vcpus(""), returned("0"));
}

TEST_F(Set, FewerProcessorsThanTheRuleLeavesOnlineAreRefused) {
    EXPECT_EQ(vcpus(cpu(1, false) + "," + cpu(2, false) + "," + cpu(3, false)), returned("2"));
    expect_refused(vcpus(cpu(3, false)), "failed to set processors");
    EXPECT_EQ(devices_->processor(3).front(), '1');
}

TEST_F(Set, BlocksOfTheRuleAndNoOthers) {
    EXPECT_EQ(blocks(block(0, false) + "," + block(9, true) + "," + block(1, true)),
              returned("[{\"response\": \"success\", \"phys-index\": 0}, "
                       "{\"response\": \"not-found\", \"error-code\": 2, \"phys-index\": 9}, "
                       "{\"response\": \"success\", \"phys-index\": 1}]"));
    EXPECT_TRUE(devices_->block(0).starts_with("offline"));
    expect_refused(blocks(block(2, false) + "," + block(3, true)), "failed to set memory blocks");
    EXPECT_TRUE(devices_->block(2).starts_with("online"));
    EXPECT_EQ(blocks(""), returned("[]"));
}

// The right to set the machine's clock was taken from all processes here: what is let through fails at the very end.
TEST_F(Set, StepsOfTheRuleAndNoLarger) {
    const std::int64_t now = std::int64_t{std::time(nullptr)} * 1'000'000'000;
    constexpr std::int64_t kMinute = 60'000'000'000;
    const std::string kNoRight = error_line("Failed to set time to guest: Operation not permitted");
    for (const std::int64_t step : {4 * kMinute, -4 * kMinute})
        EXPECT_EQ(set_time(std::to_string(now + step)), kNoRight) << step;
    for (const std::int64_t step : {6 * kMinute, -6 * kMinute})
        expect_refused(set_time(std::to_string(now + step)), "Failed to set time to guest");
    expect_refused(set_time("0"), "Failed to set time to guest");
    expect_refused(set_time("-1"), "Failed to set time to guest");
    expect_refused(set_time("3155759999999999999"), "Failed to set time to guest");
    EXPECT_EQ(set_time("3155760000000000000"), error_line("Invalid time"));
    EXPECT_EQ(set_time("-1000000000"), error_line("Invalid time"));
    EXPECT_EQ(set_time("-999999999"), error_line("Failed to set time to guest: Invalid argument"));
    EXPECT_EQ(set_time("-1500"), error_line("Failed to set time to guest: Invalid argument"));
    EXPECT_EQ(set_time(""), error_line("child process has failed to set hardware clock to system time: "
                                       "No such file or directory"));
}

TEST_F(Set, RequestAndItsEndAreLinesOfTheLog) {
    vcpus(cpu(1, false) + "," + cpu(2, true));
    const auto lines = agent_->audit();
    ASSERT_GE(lines.size(), 2U);
    const auto& request = lines[lines.size() - 2];
    EXPECT_EQ(text_of(request, "what"), "guest-set-vcpus");
    EXPECT_EQ(text_of(request, "verdict"), "allow");
    EXPECT_EQ(text_of(request, "rule"), "hardware");
    EXPECT_EQ(text_of(request.at("arguments").as_object(), "set"), "1=offline 2=online");
    EXPECT_EQ(text_of(lines.back(), "what"), "set-ended");
    EXPECT_EQ(text_of(lines.back().at("arguments").as_object(), "outcome"), "WHOLE");
}

TEST_F(Set, ListsThatAreTooLongAreRefusedByTheWorker) {
    std::string list = cpu(1, true);
    for (int at = 0; at < 1024; ++at) list += "," + cpu(1, true);
    EXPECT_EQ(vcpus(list), error_line("Parameter 'vcpus' is too long"));
}

TEST_F(Set, BlockThatTakesMinutesHoldsUpNothingElse) {
    constexpr std::uint32_t kWrite = 16;  // FUSE_WRITE
    host_.reset();                        // the server's process would keep the connection open
    FuseServer server("/mnt", kWrite);
    host_.emplace(agent_->connect());
    shell("mount --bind /mnt/file /sys/devices/system/memory/memory1/state");
    host_->send(command("guest-set-memory-blocks", "{\"mem-blks\":[" + block(1, true) + "]}"));
    ASSERT_TRUE(server.is_waited_for());
    // On the same connection: what is always answered, once the host has given it up as libvirt does.
    host_->send("\xff");
    EXPECT_EQ(desc_of(host_->line()), "the agent has given up waiting for this request");
    EXPECT_EQ(host_->ask(command("guest-ping")), returned("{}"));
    EXPECT_EQ(host_->ask(command("guest-fsfreeze-status")), returned("\"thawed\""));
    EXPECT_EQ(host_->ask(command("guest-fsfreeze-thaw")), returned("0"));
    // On the next one: everything.
    host_.reset();
    host_.emplace(agent_->connect());
    const std::string opened = host_->ask(
        command("guest-file-open", members({{"path", in_quotes(agent_->scratch().path("work/file"))}})));
    EXPECT_TRUE(desc_of(opened).empty()) << opened;
    EXPECT_EQ(vcpus(cpu(1, false)), error_line("failed to set processors: Device or resource busy"));
    EXPECT_EQ(agent_->count_audit("what", "set-ended"), 0U);
    server.release();
    shell("umount -l /sys/devices/system/memory/memory1/state");
    EXPECT_TRUE(eventually([&] { return agent_->count_audit("what", "set-ended") == 1; }));
    EXPECT_EQ(vcpus(cpu(1, false)), returned("1"));
}

}  // namespace
}  // namespace sallyport::test
