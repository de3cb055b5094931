// The conversations of libvirt 9.0 about clock and processors, as recorded from virsh, with what is then set: a played clock, files for processors.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <memory>

#include "tests/setters/devices.hpp"
#include "tests/setters/played_clocks.hpp"
#include "tests/support/agent.hpp"

namespace sallyport::test {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

class SetClient : public testing::Test {
protected:
    static void SetUpTestSuite() {
        devices_ = std::make_unique<Devices>();
        clocks_ = std::make_unique<PlayedClocks>();
    }
    static void TearDownTestSuite() {
        clocks_.reset();
        devices_.reset();
    }
    SetClient() {
        devices_->reset();
        devices_->with_hardware_clock(true);
        clocks_->begin();
        agent_.emplace(AgentOptions{.policy = "schema = 1\ninclude = [\"profile:compat\"]\n"});
        host_.emplace(agent_->connect());
        // Once for a connection, and again after a time-out.
        EXPECT_EQ(host_->ask("{\"execute\":\"guest-sync\", \"arguments\":{\"id\":1796075386651}}\n"),
                  "{\"return\": 1796075386651}");
    }
    std::string ask(const std::string& request) { return host_->ask(request + "\n", milliseconds(60'000)); }
    std::string set_vcpus(const std::string& entries) {
        return ask(R"({"execute":"guest-set-vcpus","arguments":{"vcpus":[)" + entries + "]}}");
    }
    static std::unique_ptr<Devices> devices_;
    static std::unique_ptr<PlayedClocks> clocks_;
    std::optional<Agent> agent_;
    std::optional<HostClient> host_;
};
std::unique_ptr<Devices> SetClient::devices_;
std::unique_ptr<PlayedClocks> SetClient::clocks_;

TEST_F(SetClient, VirshDomtime) {
    const std::int64_t shown = result_of(ask(R"({"execute":"guest-get-time"})")).as_int64();
    EXPECT_LE(std::abs(shown / kSecond - std::time(nullptr)), 60);
    // --now and --time; libvirt then has QEMU forget the interrupts of the clock that the guest has missed.
    const std::int64_t wanted = (shown / kSecond + 36'000) * kSecond;
    EXPECT_EQ(ask(R"({"execute":"guest-set-time","arguments":{"time":)" + std::to_string(wanted) + "}}"),
              R"({"return": {}})");
    EXPECT_EQ(clocks_->set_to_ns, wanted);
    EXPECT_EQ(clocks_->writes, 1) << "the hardware clock, too";
    // --sync
    clocks_->begin();
    clocks_->hardware_s = wanted / kSecond + 100;
    EXPECT_EQ(ask(R"({"execute":"guest-set-time"})"), R"({"return": {}})");
    EXPECT_LE(std::abs(clocks_->set_to_ns / kSecond - wanted / kSecond - 100), 60);
    EXPECT_EQ(clocks_->writes, 0) << "it was the hardware clock that said it";
}

// It looks which can be taken offline, picks that many, and counts on the number that comes back.
TEST_F(SetClient, VirshSetvcpusGuestAndGuestvcpus) {
    const auto shown = result_of(ask(R"({"execute":"guest-get-vcpus"})")).as_array();
    ASSERT_EQ(shown.size(), 4U);
    for (const auto& one : shown) {
        EXPECT_TRUE(one.at("online").as_bool());
        EXPECT_EQ(one.at("can-offline").as_bool(), one.at("logical-id").as_int64() != 0);
    }
    // setvcpus 2 --guest
    EXPECT_EQ(set_vcpus(R"({"logical-id":2,"online":false},{"logical-id":3,"online":false})"),
              R"({"return": 2})");
    EXPECT_EQ(devices_->processor(2).front(), '0');
    EXPECT_EQ(devices_->processor(3).front(), '0');
    const auto after = result_of(ask(R"({"execute":"guest-get-vcpus"})")).as_array();
    for (const auto& one : after) EXPECT_EQ(one.at("online").as_bool(), one.at("logical-id").as_int64() < 2);
    // guestvcpus --enable --cpulist 3
    EXPECT_EQ(set_vcpus(R"({"logical-id":3,"online":true})"), R"({"return": 1})");
    EXPECT_EQ(devices_->processor(3).front(), '1');
}

}  // namespace
}  // namespace sallyport::test
