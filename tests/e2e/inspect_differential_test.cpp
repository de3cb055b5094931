// What only looks, asked of Debian's qemu-ga and of our agent in one guest: member by member, in the same order. Numbers
// that go on counting must lie between what qemu-ga says before and after.
#include <gtest/gtest.h>
#include <utmpx.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cstring>
#include <fstream>
#include <memory>

#include "tests/e2e/guest.hpp"
#include "tests/support/cases.hpp"
#include "tests/support/qemu_ga.hpp"

namespace sallyport::test {
namespace {

namespace json = boost::json;

void put_user(std::ofstream& file, short type, const char* name, int seconds) {
    utmpx entry{};
    entry.ut_type = type;
    std::strncpy(entry.ut_user, name, sizeof entry.ut_user - 1);
    entry.ut_tv.tv_sec = static_cast<decltype(entry.ut_tv.tv_sec)>(seconds);  // unsigned since glibc 2.41
    entry.ut_tv.tv_usec = 123456;
    file.write(reinterpret_cast<const char*>(&entry), sizeof entry);
}

void write_utmp(const std::string& path) {
    std::ofstream file(path, std::ios::binary);
    put_user(file, BOOT_TIME, "reboot", 1'600'000'000);
    put_user(file, USER_PROCESS, "alice", 1'700'000'500);
    put_user(file, USER_PROCESS, "bob", 1'700'000'100);
    put_user(file, USER_PROCESS, "alice", 1'700'000'000);
    put_user(file, DEAD_PROCESS, "carol", 1'700'000'000);
}

// Not every kernel has VLANs.
constexpr const char* kNetwork = R"(
    ip link set lo up
    ip link add v0 type veth peer name v1
    ip link add br0 type bridge
    ip link set v1 master br0
    ip link add link v0 name v0.5 type vlan id 5 2>/dev/null && ip address add 203.0.113.9/27 dev v0.5 || true
    ip link add nothing type veth peer name nobody
    ip address add 192.0.2.1/24 dev v0
    ip address add 192.0.2.7/32 dev v0 label v0:one
    ip address add 198.51.100.1 peer 198.51.100.2/30 dev v0
    ip -6 address add 2001:db8::1/48 dev v0 nodad
    ip address add 10.9.0.1/8 dev br0
    ip -6 address add 2001:db8:7::1/127 dev br0 nodad
    ip link set v0 up; ip link set v1 up; ip link set br0 up
    ip route add 203.0.113.128/25 via 192.0.2.254 metric 77 advmss 1260
    ip -6 route add 2001:db8:9::/56 via 2001:db8::fe metric 99
)";

void mount_filesystems(const std::string& folder) {
    shell("cd " + folder + R"(
        for kind in ext4 xfs btrfs; do truncate -s 320M $kind.image; mkdir $kind; done
        mkfs.ext4 -q ext4.image; mkfs.xfs -q xfs.image; mkfs.btrfs -q btrfs.image
        for kind in ext4 xfs btrfs; do mount -o loop $kind.image $kind; done
        mkdir 'ext4/a b'; mkdir ext4/inner; truncate -s 8M ext4/inner.image; mkfs.ext4 -q ext4/inner.image
        mount -o loop ext4/inner.image ext4/inner
        mount --bind ext4 'ext4/a b'
        dd if=/dev/urandom of=ext4/data bs=1M count=5 status=none
        sync -f ext4; sync -f xfs; sync -f btrfs
        mount -o remount,ro ext4/inner)");
}

// In one guest, made once for all tests of this program.
struct Pair {
    Scratch scratch;
    std::unique_ptr<QemuGa> qemu;
    std::unique_ptr<Agent> agent;

    Pair() {
        enter_own_guest();
        shell(kNetwork);
        mount_filesystems(scratch.path());
        write_utmp(scratch.path("utmp"));
        shell("touch /run/utmp; mount --bind " + scratch.path("utmp") + " /run/utmp");
        qemu = std::make_unique<QemuGa>();
        agent =
            std::make_unique<Agent>(AgentOptions{.policy = "schema = 1\ninclude = [\"profile:compat\"]\n"});
    }
    ~Pair() {
        agent.reset();
        qemu.reset();
        shell("cd " + scratch.path() + "; umount /run/utmp 'ext4/a b' ext4/inner ext4 xfs btrfs");
    }
};

class SameGuest : public testing::Test {
protected:
    static void SetUpTestSuite() { pair_ = std::make_unique<Pair>(); }
    static void TearDownTestSuite() { pair_.reset(); }
    static json::value of_qemu(std::string_view name) {
        HostClient host(pair_->qemu->socket());
        return look(host, name);
    }
    static json::value of_ours(std::string_view name) {
        HostClient host = pair_->agent->connect();
        return look(host, name);
    }
    static std::unique_ptr<Pair> pair_;
};

std::unique_ptr<Pair> SameGuest::pair_;

double number(const json::value& value) {
    return value.to_number<double>();
}

void expect_between(const json::value& low, const json::value& ours, const json::value& high) {
    if (ours.is_number() && low.is_number()) {
        EXPECT_GE(number(ours), std::min(number(low), number(high)));
        EXPECT_LE(number(ours), std::max(number(low), number(high)));
    } else if (ours.is_object() && low.is_object()) {
        const auto &our_members = ours.as_object(), &their_members = low.as_object();
        ASSERT_EQ(our_members.size(), their_members.size()) << ours << " " << low;
        for (auto one = our_members.begin(), other = their_members.begin(); one != our_members.end();
             ++one, ++other) {
            SCOPED_TRACE(std::string(one->key()));
            ASSERT_EQ(one->key(), other->key());
            expect_between(other->value(), one->value(), high.as_object().at(one->key()));
        }
    } else if (ours.is_array() && low.is_array()) {
        ASSERT_EQ(ours.as_array().size(), low.as_array().size()) << ours << " " << low;
        for (std::size_t at = 0; at < ours.as_array().size(); ++at)
            expect_between(low.as_array()[at], ours.as_array()[at], high.as_array()[at]);
    } else {
        EXPECT_EQ(ours, low);
    }
}

struct Name {
    const char* name;
    const char* command;
};

class SameAnswer : public SameGuest, public testing::WithParamInterface<Name> {};

TEST_P(SameAnswer, MemberByMember) {
    const json::value before = of_qemu(GetParam().command);
    const json::value ours = of_ours(GetParam().command);
    const json::value after = of_qemu(GetParam().command);
    expect_between(before, ours, after);
}

const Name kCommands[] = {
    {"HostName", "guest-get-host-name"},
    {"Time", "guest-get-time"},
    {"Timezone", "guest-get-timezone"},
    {"Osinfo", "guest-get-osinfo"},
    {"Users", "guest-get-users"},
    {"Cpustats", "guest-get-cpustats"},
    {"Vcpus", "guest-get-vcpus"},
    {"MemoryBlocks", "guest-get-memory-blocks"},
    {"MemoryBlockInfo", "guest-get-memory-block-info"},
    {"Interfaces", "guest-network-get-interfaces"},
    {"Disks", "guest-get-disks"},
    {"Diskstats", "guest-get-diskstats"},
};
INSTANTIATE_TEST_SUITE_P(, SameAnswer, testing::ValuesIn(kCommands),
                         [](const auto& one) { return std::string(one.param.name); });

TEST_F(SameGuest, InterfacesOfTheTestAreThere) {
    const json::value ours = of_ours("guest-network-get-interfaces");
    EXPECT_EQ(element(ours, "name", "v0").at("ip-addresses").as_array().size(), 4U);
    EXPECT_EQ(element(ours, "name", "v0:one").at("ip-addresses").as_array().size(), 1U);
    EXPECT_FALSE(element(ours, "name", "nothing").contains("ip-addresses"));
    EXPECT_TRUE(element(ours, "name", "br0").contains("statistics"));
}

TEST_F(SameGuest, UsersAreCountedOnceFromTheirFirstLogin) {
    const json::value ours = of_ours("guest-get-users");
    ASSERT_EQ(ours.as_array().size(), 2U);
    EXPECT_EQ(element(ours, "user", "alice").at("login-time").as_double(), 1'700'000'000.123456);
}

// qemu-ga 7.2 lists what is mounted twice twice, and does not know what root alone may fill.
TEST_F(SameGuest, FilesystemsAreThoseOfQemuEachOnce) {
    const json::value theirs = of_qemu("guest-get-fsinfo");
    json::value ours = of_ours("guest-get-fsinfo");
    json::array once;
    for (const auto& one : theirs.as_array())
        if (const auto& point = one.at("mountpoint").as_string();
            !point.ends_with("/ext4/a b") && point != "/run/utmp")
            once.push_back(one);
    for (auto& one : ours.as_array()) {
        EXPECT_GE(one.at("total-bytes-privileged").to_number<std::uint64_t>(),
                  one.at("total-bytes").to_number<std::uint64_t>());
        one.as_object().erase("total-bytes-privileged");
    }
    EXPECT_EQ(once.size() + 2, theirs.as_array().size());
    ASSERT_EQ(ours.as_array().size(), once.size());
    for (std::size_t at = 0; at < once.size(); ++at) {
        // The machine's own root is written to meanwhile.
        if (once[at].at("mountpoint") == "/") continue;
        EXPECT_EQ(ours.as_array()[at], once[at]);
    }
}

// qemu-ga 7.2 knows neither command.
TEST_F(SameGuest, RoutesAreThoseThatWereSet) {
    const json::value routes = of_ours("guest-network-get-route");
    const json::object& ipv4 = element(routes, "destination", "203.0.113.128");
    EXPECT_EQ(json::serialize(ipv4),
              R"({"flags":3,"metric":77,"refcnt":0,"window":0,"version":4,"iface":"v0",)"
              R"("destination":"203.0.113.128","irtt":0,"gateway":"192.0.2.254","use":0,"mtu":1300,)"
              R"("mask":"255.255.255.128"})");
    json::object ipv6 = element(routes, "destination", "2001:db8:9::");
    EXPECT_EQ(ipv6.at("metric").as_int64(), 99);
    EXPECT_EQ(ipv6.at("flags").as_int64(), 3);
    EXPECT_EQ(ipv6.at("nexthop").as_string(), "2001:db8::fe");
    EXPECT_EQ(ipv6.at("desprefixlen").as_string(), "56");
    EXPECT_EQ(ipv6.at("srcprefixlen").as_string(), "0");
    EXPECT_EQ(ipv6.at("source").as_string(), "::");
    EXPECT_EQ(ipv6.at("version").as_int64(), 6);
    for (const auto& one : routes.as_array())
        EXPECT_LT(one.at("flags").to_number<std::uint64_t>(), std::uint64_t{1} << 32U);
}

TEST_F(SameGuest, LoadIsTheKernels) {
    const json::value load = of_ours("guest-get-load");
    ASSERT_EQ(load.as_object().size(), 3U);
    for (const char* one : {"load15m", "load5m", "load1m"}) {
        EXPECT_GE(number(load.at(one)), 0);
        EXPECT_LT(number(load.at(one)), 10'000);
    }
}

TEST_F(SameGuest, ArgumentsAreRefusedInTheSameWords) {
    HostClient qemu(pair_->qemu->socket());
    HostClient ours = pair_->agent->connect();
    for (const Name& one : kCommands) {
        const std::string request = command(one.command, R"({"path":1})");
        EXPECT_EQ(ours.ask(request), qemu.ask(request)) << one.command;
    }
}

}  // namespace
}  // namespace sallyport::test
