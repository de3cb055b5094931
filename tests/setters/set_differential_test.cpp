// guest-set-vcpus and guest-set-memory-blocks: the same to Debian's qemu-ga and to our agent under the compat profile, on the same played
// processors and blocks, compared byte for byte but for what docs/compatibility.md lists. Of guest-set-time the arguments only.
#include <gtest/gtest.h>

#include <memory>
#include <regex>

#include "tests/setters/devices.hpp"
#include "tests/support/agent.hpp"
#include "tests/support/qemu_ga.hpp"

namespace sallyport::test {
namespace {

class SetBeside : public testing::Test {
protected:
    static void SetUpTestSuite() {
        devices_ = std::make_unique<Devices>();
        qemu_ = std::make_unique<QemuGa>();
        agent_ =
            std::make_unique<Agent>(AgentOptions{.policy = "schema = 1\ninclude = [\"profile:compat\"]\n"});
        ASSERT_TRUE(agent_->is_serving()) << agent_->messages();
    }
    static void TearDownTestSuite() {
        agent_.reset();
        qemu_.reset();
        devices_.reset();
    }
    // The texts of 7.2, as they read since 10.2.
    static std::string as_now(const std::string& reply) {
        static const std::regex directory(R"(open\(\\"(/sys/devices/system/cpu/cpu[-0-9]*/)\\"\))");
        static const std::regex file(R"(open\(\\"(/sys/devices/system/cpu/cpu[-0-9]*//online)\\"\))");
        const std::string text = std::regex_replace(reply, directory, "Could not open '$1'");
        return std::regex_replace(text, file, "could not open $1");
    }
    struct Seen {
        std::string reply;
        std::string after;
        bool operator==(const Seen&) const = default;
    };
    static Seen seen_of(HostClient host, const char* name, const std::string& arguments,
                        const std::string& before) {
        devices_->reset();
        devices_->change(before);
        Seen seen{.reply = as_now(host.ask(command(name, arguments), milliseconds(30'000))), .after = {}};
        for (const int number : {1, 2, 3}) seen.after += devices_->processor(number);
        for (const int number : {0, 1, 2, 3}) seen.after += devices_->block(number);
        return seen;
    }
    static void expect_same(const char* name, const std::string& arguments, const std::string& before = ":") {
        const Seen theirs = seen_of(HostClient(qemu_->socket()), name, arguments, before);
        const Seen ours = seen_of(agent_->connect(), name, arguments, before);
        EXPECT_EQ(ours.reply, theirs.reply) << name << " " << arguments << ", after " << before;
        EXPECT_EQ(ours.after, theirs.after) << name << " " << arguments << ", after " << before;
    }
    static std::unique_ptr<Devices> devices_;
    static std::unique_ptr<QemuGa> qemu_;
    static std::unique_ptr<Agent> agent_;
};
std::unique_ptr<Devices> SetBeside::devices_;
std::unique_ptr<QemuGa> SetBeside::qemu_;
std::unique_ptr<Agent> SetBeside::agent_;

constexpr const char* kVcpus = "guest-set-vcpus";
constexpr const char* kBlocks = "guest-set-memory-blocks";
constexpr const char* kOff1 = R"({"vcpus":[{"logical-id":1,"online":false}]})";

TEST_F(SetBeside, Processors) {
    for (
        const char* arguments :
        {R"({"vcpus":[]})", kOff1, R"({"vcpus":[{"logical-id":1,"online":true}]})",
         R"({"vcpus":[{"logical-id":1,"online":false},{"logical-id":2,"online":false}]})",
         R"({"vcpus":[{"logical-id":1,"online":false},{"logical-id":1,"online":true},{"logical-id":1,"online":false}]})",
         R"({"vcpus":[{"logical-id":0,"online":true}]})", R"({"vcpus":[{"logical-id":0,"online":false}]})",
         R"({"vcpus":[{"logical-id":1,"online":false},{"logical-id":0,"online":false},{"logical-id":2,"online":false}]})",
         R"({"vcpus":[{"logical-id":0,"online":true},{"logical-id":9999,"online":true}]})",
         R"({"vcpus":[{"logical-id":9999,"online":true}]})",
         R"({"vcpus":[{"logical-id":-1,"online":false}]})",
         R"({"vcpus":[{"logical-id":9223372036854775807,"online":false}]})",
         R"({"vcpus":[{"logical-id":1,"online":false,"can-offline":true}]})",
         R"({"vcpus":[{"logical-id":1,"online":false,"can-offline":false}]})"})
        expect_same(kVcpus, arguments);
    expect_same(kVcpus, kOff1, "echo 0 > $C/cpu1/online");
    expect_same(kVcpus, R"({"vcpus":[{"logical-id":1,"online":true}]})", "echo 0 > $C/cpu1/online");
}

TEST_F(SetBeside, ProcessorsThatAKernelWouldNotHave) {
    expect_same(kVcpus, kOff1, "rm $C/cpu1/online; mkdir $C/cpu1/online; echo x > $C/cpu1/online/x; exit 0");
    expect_same(kVcpus, kOff1, ": > $C/cpu1/online");
    expect_same(kVcpus, kOff1, "echo xyz > $C/cpu1/online");
    expect_same(kVcpus, kOff1, "rm -r $C/cpu1; : > $C/cpu1; mkdir -p $C/x; ln -s x $C/cpu9; exit 0");
}

TEST_F(SetBeside, Blocks) {
    for (
        const char* arguments :
        {R"({"mem-blks":[]})", R"({"mem-blks":[{"phys-index":1,"online":false}]})",
         R"({"mem-blks":[{"phys-index":3,"online":true}]})",
         R"({"mem-blks":[{"phys-index":3,"online":false}]})",
         R"({"mem-blks":[{"phys-index":1,"online":true}]})",
         R"({"mem-blks":[{"phys-index":99999999,"online":false},{"phys-index":1,"online":false},{"phys-index":-1,"online":true},{"phys-index":1,"online":true},{"phys-index":1,"online":false}]})",
         R"({"mem-blks":[{"phys-index":18446744073709551615,"online":true}]})",
         R"({"mem-blks":[{"phys-index":0,"online":false,"can-offline":true}]})"})
        expect_same(kBlocks, arguments);
    expect_same(kBlocks, R"({"mem-blks":[{"phys-index":1,"online":false}]})",
                "rm $M/memory1/state; mkdir $M/x; mv $M/memory1 $M/memory9; mkdir $M/memory1; echo online > "
                "$M/memory1/state");
}

TEST_F(SetBeside, ArgumentsThatAreWrong) {
    for (const char* arguments :
         {"{}", R"({"vcpus":{}})", R"({"vcpus":null})", R"({"vcpus":"x"})", R"({"vcpus":[1]})",
          R"({"vcpus":[[]]})", R"({"vcpus":[{}]})", R"({"vcpus":[{"logical-id":1}]})",
          R"({"vcpus":[{"online":true}]})", R"({"vcpus":[{"logical-id":"1","online":true}]})",
          R"({"vcpus":[{"logical-id":1.5,"online":true}]})", R"({"vcpus":[{"logical-id":1,"online":1}]})",
          R"({"vcpus":[{"logical-id":1,"online":false,"x":1}]})",
          R"({"vcpus":[{"logical-id":1,"online":false,"can-offline":0}]})",
          R"({"vcpus":[{"logical-id":1,"online":false},{"logical-id":2}]})",
          R"({"vcpus":[{"logical-id":18446744073709551615,"online":false}]})",
          R"({"vcpus":[{"logical-id":1,"online":false}],"x":1})", R"({"vcpus":[{"x":1}],"x":1})"})
        expect_same(kVcpus, arguments);
    for (const char* arguments :
         {"{}", R"({"mem-blks":{}})", R"({"mem-blks":[true]})", R"({"mem-blks":[{"phys-index":1}]})",
          R"({"mem-blks":[{"online":true}]})", R"({"mem-blks":[{"phys-index":"1","online":true}]})",
          R"({"mem-blks":[{"phys-index":1.5,"online":true}]})",
          R"({"mem-blks":[{"phys-index":1,"online":"x"}]})",
          R"({"mem-blks":[{"phys-index":18446744073709551616,"online":true}]})",
          R"({"mem-blks":[{"phys-index":1,"online":true,"more":{}}]})"})
        expect_same(kBlocks, arguments);
    for (const char* arguments :
         {R"({"time":"1"})", R"({"time":1.5})", R"({"time":null})", R"({"time":[]})", R"({"time":true})",
          R"({"time":9223372036854775808})", R"({"time":-9223372036854775809})", R"({"when":1})"})
        expect_same("guest-set-time", arguments);
}

}  // namespace
}  // namespace sallyport::test
