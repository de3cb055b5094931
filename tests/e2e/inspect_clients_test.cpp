// The conversations of libvirt, KubeVirt and Proxmox about what only looks: what they send, as they send it, and the
// members that they read.
#include <gtest/gtest.h>

#include <functional>

#include "tests/e2e/guest.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

namespace json = boost::json;

// Under the profile of each, which allows no more than what is shown here.
class Client : public testing::Test {
protected:
    static void SetUpTestSuite() {
        static const bool is_inside = (enter_own_guest(), shell("ip link set lo up"), true);
        EXPECT_TRUE(is_inside);
    }
    explicit Client(std::string profile)
        : agent_(AgentOptions{.policy = "schema = 1\ninclude = [\"profile:" + std::move(profile) + "\"]\n"}) {
    }
    Agent agent_;
    HostClient host_ = agent_.connect();
};

class Libvirt : public Client {
protected:
    Libvirt() : Client("libvirt") {}
};

class Kubevirt : public Client {
protected:
    Kubevirt() : Client("kubevirt") {}
};

class Proxmox : public Client {
protected:
    Proxmox() : Client("proxmox") {}
};

void need(const json::value& object, std::initializer_list<std::string_view> members) {
    for (const std::string_view member : members) EXPECT_TRUE(object.as_object().contains(member)) << member;
}

void need_address(const json::value& address) {
    need(address, {"bus", "target", "unit", "pci-controller"});
    need(address.at("pci-controller"), {"domain", "bus", "slot", "function"});
}

// libvirt: a guest-sync before each command, no id.
json::value as_libvirt(HostClient& host, const std::string& request) {
    EXPECT_EQ(host.ask(R"({"execute":"guest-sync","arguments":{"id":1700000000001}})"
                       "\n"),
              R"({"return": 1700000000001})");
    return result_of(host.ask(request + "\n"));
}

json::array list_as_libvirt(HostClient& host, const std::string& request) {
    return as_libvirt(host, request).as_array();
}

TEST_F(Libvirt, GuestInfo) {
    need(as_libvirt(host_, R"({"execute":"guest-get-osinfo"})"), {"id", "name", "kernel-release", "machine"});
    need(as_libvirt(host_, R"({"execute":"guest-get-timezone"})"), {"offset"});
    need(as_libvirt(host_, R"({"execute":"guest-get-host-name"})"), {"host-name"});
    for (const auto& user : list_as_libvirt(host_, R"({"execute":"guest-get-users"})"))
        need(user, {"user", "login-time"});
    need(as_libvirt(host_, R"({"execute":"guest-get-load"})"), {"load1m", "load5m", "load15m"});
    EXPECT_TRUE(as_libvirt(host_, R"({"execute":"guest-get-time"})").is_int64());
}

TEST_F(Libvirt, FilesystemsAndDisks) {
    const auto mounts = list_as_libvirt(host_, R"({"execute":"guest-get-fsinfo"})");
    ASSERT_FALSE(mounts.empty());
    for (const auto& one : mounts) {
        need(one, {"mountpoint", "name", "type", "disk", "used-bytes", "total-bytes"});
        for (const auto& disk : one.at("disk").as_array()) need_address(disk);
    }
    for (const auto& one : list_as_libvirt(host_, R"({"execute":"guest-get-disks"})")) {
        need(one, {"name", "partition"});
        if (const auto* address = one.as_object().if_contains("address")) need_address(*address);
    }
}

TEST_F(Libvirt, InterfacesAndProcessors) {
    for (const auto& one : list_as_libvirt(host_, R"({"execute":"guest-network-get-interfaces"})")) {
        need(one, {"name"});
        if (const auto* addresses = one.as_object().if_contains("ip-addresses"))
            for (const auto& address : addresses->as_array())
                need(address, {"ip-address", "ip-address-type", "prefix"});
    }
    const auto vcpus = list_as_libvirt(host_, R"({"execute":"guest-get-vcpus"})");
    ASSERT_FALSE(vcpus.empty());
    for (const auto& one : vcpus) need(one, {"logical-id", "online", "can-offline"});
}

TEST_F(Kubevirt, TakesTheAgentForSupported) {
    const json::value info = look(host_, "guest-info");
    need(info, {"version"});
    for (const char* name : {"guest-ping", "guest-get-time", "guest-info", "guest-shutdown",
                             "guest-network-get-interfaces", "guest-get-fsinfo", "guest-get-host-name",
                             "guest-get-users", "guest-get-timezone", "guest-get-osinfo"})
        EXPECT_TRUE(element(info.at("supported_commands"), "name", name).at("enabled").as_bool()) << name;
}

TEST_F(Kubevirt, PollsAndStatistics) {
    for (const auto& one : list_as_libvirt(host_, R"({"execute":"guest-get-fsinfo"})"))
        need(one, {"name", "mountpoint", "type", "used-bytes", "total-bytes"});
    for (const char* name :
         {"guest-get-load", "guest-get-cpustats", "guest-get-diskstats", "guest-get-time", "guest-get-vcpus",
          "guest-get-memory-block-info", "guest-get-users", "guest-get-osinfo", "guest-get-disks",
          "guest-get-host-name", "guest-get-timezone", "guest-network-get-route",
          "guest-network-get-interfaces", "guest-get-memory-blocks"}) {
        const std::string reply = host_.ask(R"({"execute":")" + std::string(name) + "\"}\n");
        // A machine without hot-pluggable memory has no blocks to speak of, which qemu-ga calls an error too.
        if (class_of(reply).empty()) result_of(reply);
        EXPECT_NE(class_of(reply), "CommandNotFound") << name;
    }
}

// Proxmox: both lines in one write, the second with empty arguments; the very next two lines are the answers.
TEST_F(Proxmox, PlainCalls) {
    int id = 0;
    for (const char* name :
         {"get-time", "network-get-interfaces", "get-vcpus", "get-fsinfo", "get-memory-blocks",
          "get-memory-block-info", "get-host-name", "get-osinfo", "get-users", "get-timezone"}) {
        const std::string number = "12340" + std::to_string(++id);
        HostClient host = id == 1 ? std::move(host_) : agent_.connect();
        host.send(R"({"execute":"guest-sync-delimited","arguments":{"id":)" + number + "}}\n" +
                  R"({"execute":"guest-)" + name +
                  R"(","arguments":{}})"
                  "\n");
        EXPECT_EQ(host.line(), "\xFF{\"return\": " + number + "}");
        const std::string reply = host.line();
        EXPECT_TRUE(reply.ends_with('}')) << reply;
        EXPECT_NE(class_of(reply), "CommandNotFound") << name;
    }
}

}  // namespace
}  // namespace sallyport::test
