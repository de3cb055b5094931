// Whatever state the guest is in: an answer in time, well formed and bounded.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>

#include "tests/e2e/guest.hpp"
#include "tests/support/qemu_ga.hpp"
#include "tests/support/refused_filter.hpp"

namespace sallyport::test {
namespace {

namespace json = boost::json;

class OddGuest : public testing::Test {
protected:
    static void SetUpTestSuite() { enter_own_guest(); }
    Agent agent_{AgentOptions{.policy = std::string(kLook)}};
    HostClient host_ = agent_.connect();
};

double seconds_of(const std::function<void()>& body) {
    const auto start = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A file system on a block device whose daemon opened /dev/fuse and never reads it.
class DeadMount {
public:
    DeadMount() : device_(::open("/dev/fuse", O_RDWR | O_CLOEXEC)) {
        scratch_.make_folder("dead");
        shell("cd " + scratch_.path() + "; truncate -s 1M image; losetup -f --show image > loop");
        loop_ = read_file(scratch_.path("loop"));
        loop_.pop_back();
        const std::string options = "fd=" + std::to_string(device_.get()) +
                                    ",rootmode=40000,user_id=0,group_id=0,allow_other,blksize=512";
        if (::mount(loop_.c_str(), point().c_str(), "fuseblk", 0, options.c_str()) != 0)
            ADD_FAILURE() << "mount: " << errno;
    }
    ~DeadMount() {
        device_.reset();
        ::umount2(point().c_str(), MNT_DETACH);
        shell("losetup -d " + loop_);
    }
    [[nodiscard]] std::string point() const { return scratch_.path("dead"); }

    /// Takes the next request of that kind, and answers nothing but the kernel's greeting. Who asked for it cannot even be
    /// killed from then on.
    void take(std::uint32_t opcode) {
        std::array<char, FUSE_MIN_READ_BUFFER> request{};
        fuse_in_header header{};
        do {
            if (::read(device_.get(), request.data(), request.size()) < 0) ADD_FAILURE() << errno;
            std::memcpy(&header, request.data(), sizeof header);
            if (header.opcode == FUSE_INIT) greet(header.unique);
        } while (header.opcode != opcode);
    }
    /// The file system answers with errors from now on.
    void give_up() { device_.reset(); }

private:
    void greet(std::uint64_t unique) {
        struct {
            fuse_out_header header{
                .len = sizeof(fuse_out_header) + sizeof(fuse_init_out), .error = 0, .unique = 0};
            fuse_init_out init{};
        } answer;
        answer.header.unique = unique;
        answer.init.major = FUSE_KERNEL_VERSION;
        answer.init.minor = FUSE_KERNEL_MINOR_VERSION;
        answer.init.max_write = 4096;
        if (::write(device_.get(), &answer, sizeof answer) != sizeof answer) ADD_FAILURE() << errno;
    }

    Scratch scratch_;
    UniqueFd device_;
    std::string loop_;
};

// It is there, without its sizes.
void expect_without_sizes(HostClient& host, const DeadMount& dead) {
    const json::value mounts = look(host, "guest-get-fsinfo");
    EXPECT_FALSE(element(mounts, "mountpoint", dead.point()).contains("used-bytes"));
    EXPECT_TRUE(element(mounts, "mountpoint", "/").contains("used-bytes"));
}

TEST_F(OddGuest, MountThatNeverAnswersCostsOneErrorInTime) {
    const DeadMount dead;
    std::string reply;
    const double seconds = seconds_of([&] { reply = host_.ask(command("guest-get-fsinfo")); });
    EXPECT_EQ(reply, error_line("the guest did not answer in time"));
    EXPECT_LT(seconds, 4.5);
    EXPECT_EQ(look(host_, "guest-get-host-name").at("host-name"), "guest-of-test");
    expect_without_sizes(host_, dead);
}

TEST_F(OddGuest, ChildThatCannotConfineItselfAnswersNothing) {
    const auto processes = agent_.processes();
    const auto inspector =
        std::ranges::find_if(processes, [](pid_t one) { return name_of(one) == "sallyport-inspector"; });
    ASSERT_NE(inspector, processes.end());
    ASSERT_TRUE(
        refuse_filter_of_next_child(*inspector, [this] { host_.send(command("guest-get-host-name")); }));
    const std::string reply = host_.line();
    EXPECT_NE(desc_of(reply), "") << reply;
    EXPECT_EQ(look(host_, "guest-get-host-name").at("host-name"), "guest-of-test");
}

TEST_F(OddGuest, EachMountThatNeverAnswersCostsOneError) {
    const DeadMount one;
    const DeadMount two;
    for (int at = 0; at < 2; ++at)
        EXPECT_EQ(host_.ask(command("guest-get-fsinfo")), error_line("the guest did not answer in time"));
    expect_without_sizes(host_, one);
    expect_without_sizes(host_, two);
}

TEST_F(OddGuest, SyncIsAnsweredWhileAMountDoesNotAnswer) {
    const DeadMount dead;
    host_.send(command("guest-get-fsinfo") + command("guest-sync", R"({"id":5})"));
    const double seconds = seconds_of([&] { host_.line(); });
    EXPECT_LT(seconds, 2.5);
    EXPECT_EQ(host_.line(), R"({"return": 5})");
    // Until the query is over nothing else is looked up; then all is well again.
    EXPECT_TRUE(eventually([&] { return desc_of(host_.ask(command("guest-get-host-name"))).empty(); }));
}

TEST_F(OddGuest, ManyQueriesOfDeadMountsLeaveNothingBehind) {
    const std::array<DeadMount, 3> dead;
    const pid_t inspector = inspector_of(agent_);
    const std::size_t descriptors = count_descriptors(inspector);
    for (std::size_t at = 0; at < dead.size(); ++at) {
        host_.send(command("guest-get-fsinfo"));
        ASSERT_TRUE(eventually([&] { return children_of(inspector).size() == 1; }));
        ::shutdown(host_.descriptor(), SHUT_RDWR);
        host_ = agent_.connect();
        EXPECT_EQ(look(host_, "guest-get-host-name").at("host-name"), "guest-of-test");
    }
    EXPECT_TRUE(eventually([&] { return children_of(inspector).empty(); }));
    // They are closed after the last child has been waited for.
    EXPECT_TRUE(eventually([&] { return count_descriptors(inspector) == descriptors; }));
}

TEST_F(OddGuest, ChildThatCannotBeKilledCostsOneError) {
    DeadMount dead;
    const pid_t inspector = inspector_of(agent_);
    host_.send(command("guest-get-fsinfo"));
    dead.take(FUSE_STATFS);
    EXPECT_EQ(host_.line(), error_line("the guest did not answer in time"));
    const auto stuck = children_of(inspector);
    ASSERT_EQ(stuck.size(), 1U);
    expect_without_sizes(host_, dead);
    EXPECT_EQ(look(host_, "guest-get-host-name").at("host-name"), "guest-of-test");
    // Numbers of processes begin anew one day: the older child is not always the first.
    EXPECT_EQ(std::ranges::count(children_of(inspector), stuck.front()), 1);
    dead.give_up();
    EXPECT_TRUE(eventually([&] { return children_of(inspector).empty(); }));
}

TEST_F(OddGuest, StoppedInspectorCostsOneErrorInTime) {
    const pid_t inspector = inspector_of(agent_);
    send_signal(inspector, SIGSTOP);
    std::string reply;
    const double seconds = seconds_of([&] { reply = host_.ask(command("guest-get-time")); });
    EXPECT_EQ(reply, error_line("the guest did not answer in time"));
    EXPECT_LT(seconds, 4.9);
    send_signal(inspector, SIGCONT);
    EXPECT_EQ(look(host_, "guest-get-host-name").at("host-name"), "guest-of-test");
}

TEST_F(OddGuest, TenThousandMountsAreOneFilesystemInTime) {
    const Scratch scratch;
    const std::string points = scratch.make_folder("points");
    shell("cd " + scratch.path() +
          "; truncate -s 8M image; mkfs.ext4 -q image; mkdir first; mount -o loop image first");
    for (int at = 0; at < 10'000; ++at) {
        const std::string point = points + "/" + std::to_string(at);
        ASSERT_EQ(::mkdir(point.c_str(), 0755), 0);
        ASSERT_EQ(::mount(scratch.path("first").c_str(), point.c_str(), nullptr, MS_BIND, nullptr), 0);
    }
    json::value mounts;
    EXPECT_LT(seconds_of([&] { mounts = look(host_, "guest-get-fsinfo"); }), 3.0);
    std::size_t found = 0;
    for (const auto& one : mounts.as_array())
        if (one.at("mountpoint").as_string().starts_with(scratch.path().c_str())) ++found;
    EXPECT_EQ(found, 1U);
    EXPECT_NO_THROW(element(mounts, "mountpoint", scratch.path("first")));
    for (int at = 0; at < 10'000; ++at) ::umount2((points + "/" + std::to_string(at)).c_str(), MNT_DETACH);
    shell("umount " + scratch.path("first"));
}

TEST_F(OddGuest, OddNamesAreWellFormed) {
    const Scratch scratch;
    const std::string folder = scratch.make_folder("odd");
    static constexpr std::array<std::string_view, 5> kNames{"a b", "line\nend", "quote\"\\", "\xff\xfe!",
                                                            "\xc3\xa9"};
    shell("cd " + scratch.path() +
          "; for n in 0 1 2 3 4; do truncate -s 1M $n; mkfs.ext4 -q $n 2>/dev/null; done");
    for (std::size_t at = 0; at < kNames.size(); ++at) {
        std::string point = folder;
        point += "/";
        point += kNames[at];
        ASSERT_EQ(::mkdir(point.c_str(), 0755), 0);
        shell("mount -o loop " + scratch.path(std::to_string(at)) + " '" + point + "'");
    }
    const std::string reply = host_.ask(command("guest-get-fsinfo"));
    for (const char one : reply) EXPECT_TRUE(one >= 0x20 && one < 0x7f) << reply;
    const json::value mounts = result_of(reply);
    for (const std::string_view name :
         {"a b", "line\nend", "quote\"\\", "\xef\xbf\xbd\xef\xbf\xbd!", "\xc3\xa9"})
        EXPECT_NO_THROW(element(mounts, "mountpoint", folder + "/" + std::string(name))) << reply;
    const QemuGa qemu;
    HostClient other(qemu.socket());
    const json::value theirs = look(other, "guest-get-fsinfo");
    for (const auto& one : theirs.as_array())
        EXPECT_NO_THROW(element(mounts, "mountpoint", std::string_view(one.at("mountpoint").as_string())));
    for (const std::string_view name : kNames) ::umount2((folder + "/" + std::string(name)).c_str(), 0);
}

TEST_F(OddGuest, OnlyALoopbackThatIsDown) {
    shell("ip link set lo down");
    EXPECT_EQ(host_.ask(command("guest-network-get-interfaces")),
              R"({"return": [{"name": "lo", "hardware-address": "00:00:00:00:00:00"}]})");
}

// Containers come and go: the kernel interrupts a list that it is asked for meanwhile.
TEST_F(OddGuest, AddressesThatComeAndGoCostNoError) {
    const Scratch scratch;
    std::ofstream many(scratch.path("many"));
    for (int at = 0; at < 2000; ++at)
        many << "address add 10.7." << at / 250 << "." << at % 250 + 1 << "/32 dev lo\n";
    many.close();
    shell("ip link set lo up; ip -batch " + scratch.path("many"));
    std::ofstream churn(scratch.path("churn"));
    for (int at = 0; at < 40'000; ++at)
        churn << "address " << (at % 2 == 0 ? "add" : "del") << " 10.8.0.1/32 dev lo\n";
    churn.close();
    const Child changing(Program{.words = {"/usr/sbin/ip", "-batch", scratch.path("churn")},
                                 .environment = {},
                                 .output = scratch.path("output")});
    while (!changing.has_ended()) {
        const json::value interfaces = look(host_, "guest-network-get-interfaces");
        EXPECT_GE(element(interfaces, "name", "lo").at("ip-addresses").as_array().size(), 2000U);
    }
    shell("ip address flush dev lo scope global");
}

void add_routes(const Scratch& scratch, int count) {
    std::ofstream batch(scratch.path("batch"));
    for (int at = 0; at < count; ++at)
        batch << "route add 10." << at / 65536 << "." << at / 256 % 256 << "." << at % 256 << "/32 dev lo\n";
    batch.close();
    shell("ip link set lo up; ip -batch " + scratch.path("batch"));
}

TEST_F(OddGuest, LongReplyComesWhole) {
    const Scratch scratch;
    add_routes(scratch, 20'000);
    const json::value routes = look(host_, "guest-network-get-route");
    EXPECT_GE(routes.as_array().size(), 20'000U);
    EXPECT_EQ(element(routes, "destination", "10.0.78.31").at("iface"), "lo");
    EXPECT_EQ(look(host_, "guest-get-host-name").at("host-name"), "guest-of-test");
    shell("ip route flush dev lo");
}

TEST_F(OddGuest, ReplyBeyondItsBoundIsAnError) {
    const Scratch scratch;
    add_routes(scratch, 120'000);
    EXPECT_EQ(host_.ask(command("guest-network-get-route")), error_line("the reply is too large"));
    EXPECT_EQ(look(host_, "guest-get-host-name").at("host-name"), "guest-of-test");
    shell("ip route flush dev lo");
}

TEST_F(OddGuest, KilledChildIsOneErrorAndTheNextIsAnswered) {
    const DeadMount dead;
    const pid_t inspector = inspector_of(agent_);
    host_.send(command("guest-get-fsinfo"));
    ASSERT_TRUE(eventually([&] { return children_of(inspector).size() == 1; }));
    send_signal(children_of(inspector)[0], SIGKILL);
    EXPECT_EQ(host_.line(), error_line("the guest's state could not be read"));
    EXPECT_EQ(look(host_, "guest-get-host-name").at("host-name"), "guest-of-test");
}

TEST_F(OddGuest, ChildAnswersForASecondAndIsGone) {
    const pid_t inspector = inspector_of(agent_);
    std::vector<pid_t> first;
    // On a machine that is slow enough a second passes between the two.
    EXPECT_TRUE(eventually([&] {
        look(host_, "guest-get-time");
        first = children_of(inspector);
        look(host_, "guest-get-host-name");
        return first.size() == 1 && children_of(inspector) == first;
    }));
    EXPECT_TRUE(eventually([&] { return children_of(inspector).empty(); }));
    look(host_, "guest-get-host-name");
    EXPECT_NE(children_of(inspector), first);
}

TEST_F(OddGuest, ChildThatEndsBetweenQueriesCostsNothing) {
    const pid_t inspector = inspector_of(agent_);
    look(host_, "guest-get-time");
    ASSERT_EQ(children_of(inspector).size(), 1U);
    send_signal(children_of(inspector)[0], SIGKILL);
    EXPECT_TRUE(eventually([&] { return children_of(inspector).empty(); }));
    EXPECT_EQ(look(host_, "guest-get-host-name").at("host-name"), "guest-of-test");
}

TEST_F(OddGuest, GuestWithoutRoomForAProcessCostsErrorsAndNoMore) {
    const pid_t inspector = inspector_of(agent_);
    rlimit before{};
    ASSERT_EQ(::prlimit(inspector, RLIMIT_NPROC, nullptr, &before), 0);
    const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
    ASSERT_EQ(::prlimit(inspector, RLIMIT_NPROC, &none, nullptr), 0);
    EXPECT_EQ(host_.ask(command("guest-get-time")), error_line("the guest's state could not be read"));
    ASSERT_EQ(::prlimit(inspector, RLIMIT_NPROC, &before, nullptr), 0);
    EXPECT_EQ(look(host_, "guest-get-host-name").at("host-name"), "guest-of-test");
}

TEST_F(OddGuest, WorkerKilledWhileAQueryIsUnderWayCostsThatQuery) {
    const DeadMount dead;
    host_.send(command("guest-get-fsinfo"));
    ASSERT_TRUE(eventually([&] { return children_of(inspector_of(agent_)).size() == 1; }));
    send_signal(agent_.worker(), SIGKILL);
    host_.line();
    EXPECT_EQ(look(host_, "guest-get-host-name").at("host-name"), "guest-of-test");
}

TEST_F(OddGuest, AgentEndsWhenTheInspectorIsLost) {
    EXPECT_TRUE(agent_.is_serving());
    send_signal(inspector_of(agent_), SIGKILL);
    EXPECT_EQ(agent_.broker().wait(), 1);
    EXPECT_EQ(agent_.count_audit("reason", "the inspector is lost"), 1U);
}

}  // namespace
}  // namespace sallyport::test
