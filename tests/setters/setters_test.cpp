// The launcher alone, asked as the broker asks it, and its setters: on processors and blocks that are files, and with a clock and a hardware
// clock that the test plays. The machine's own are never touched.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/launcher.pb.h"
#include "ipc/limits.hpp"
#include "tests/e2e/guest.hpp"
#include "tests/files/fuse_server.hpp"
#include "tests/setters/devices.hpp"
#include "tests/setters/played_clocks.hpp"
#include "tests/support/no_landlock.hpp"
#include "tests/support/process.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::test {
namespace {

using ipc::SetDone;
using ipc::SetResult;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr unsigned kLongMs = 30'000;  // for what is not to pass it

class Launcher {
public:
    explicit Launcher(const ipc::LauncherTable& table, const std::function<void()>& before = [] {}) {
        auto sockets = ipc::socket_pair();
        const int theirs = sockets->second.get();
        child_ = std::make_unique<Child>(
            Program{.words = {std::string(std::getenv("SALLYPORT_BUILD_ROOT")) + "/broker/launcher/launcher"},
                    .environment = {},
                    .output = "/dev/null",
                    .before_exec = [theirs, before] {
                        if (::dup2(theirs, 3) < 0) ::_exit(99);
                        before();
                    }});
        socket_ = std::move(sockets->first);
        tell(table);
        ipc::LauncherReply reply;
        EXPECT_TRUE(hear(reply) && reply.has_launcher_ready());
    }
    void tell(const google::protobuf::MessageLite& message) const {
        std::string bytes;
        ipc::encode(message, bytes);
        ASSERT_TRUE(ipc::send(socket_, bytes, ipc::WhenFull::kWait));
    }
    bool hear(ipc::LauncherReply& reply) const {
        ipc::Frame frame;
        std::string scratch;
        if (!wait_for(socket_.get(), POLLIN, Deadline())) return false;
        const auto got = ipc::receive(socket_, frame);
        return got && *got && ipc::decode(frame.bytes, reply, scratch).has_value();
    }
    void order(ipc::SetOrder order) {
        if (order.number() == 0) order.set_number(++number_);
        ipc::LauncherRequest request;
        *request.mutable_set() = std::move(order);
        tell(request);
    }
    SetDone hear_done() const {
        ipc::LauncherReply reply;
        EXPECT_TRUE(hear(reply) && reply.has_set_done());
        return reply.set_done();
    }
    SetDone ask(const ipc::SetOrder& what) {
        order(what);
        return hear_done();
    }
    // The order ends it, and nothing is set.
    void expect_end(const ipc::SetOrder& what) {
        order(what);
        ipc::LauncherReply reply;
        EXPECT_FALSE(hear(reply)) << reply.op_case();
        EXPECT_EQ(child_->wait(), 1);
    }
    [[nodiscard]] pid_t pid() const { return child_->pid(); }
    [[nodiscard]] std::vector<pid_t> setters() const {
        std::vector<pid_t> all;
        for (const pid_t child : children_of(child_->pid()))
            if (name_of(child) == "sallyport-setter") all.push_back(child);
        return all;
    }

private:
    UniqueFd socket_;
    std::unique_ptr<Child> child_;
    std::uint64_t number_ = 0;
};

ipc::SetOrder cpus(std::initializer_list<std::pair<int, bool>> all) {
    ipc::SetOrder order;
    order.mutable_vcpus();
    for (const auto& [id, online] : all) {
        auto& item = *order.mutable_vcpus()->add_item();
        item.set_id(id);
        item.set_online(online);
    }
    return order;
}
ipc::SetOrder blocks(std::initializer_list<std::pair<std::uint64_t, bool>> all) {
    ipc::SetOrder order;
    order.mutable_blocks();
    for (const auto& [index, online] : all) {
        auto& item = *order.mutable_blocks()->add_item();
        item.set_index(index);
        item.set_online(online);
    }
    return order;
}
ipc::SetOrder clock_to(std::optional<std::int64_t> ns) {
    ipc::SetOrder order;
    order.mutable_time();
    if (ns) order.mutable_time()->set_to_ns(*ns);
    return order;
}
std::int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * kSecond + now.tv_nsec;
}

class Setter : public testing::Test {
protected:
    static void SetUpTestSuite() {
        devices_ = std::make_unique<Devices>();
        clocks_ = std::make_unique<PlayedClocks>();
    }
    static void TearDownTestSuite() {
        clocks_.reset();
        devices_.reset();
    }
    void SetUp() override {
        devices_->reset();
        clocks_->begin();
    }
    void TearDown() override { EXPECT_EQ(clocks_->sets.load(), expected_sets_); }
    static ipc::LauncherTable table(unsigned deadline_ms = kLongMs) {
        ipc::LauncherTable table;
        table.set_set_deadline_ms(deadline_ms);
        table.set_deadline_ms(kLongMs);
        table.add_sets()->mutable_time()->set_max_ms(300'000);
        auto& processors = *table.add_sets()->mutable_vcpus();
        processors.set_min_online(2);
        auto& some = *processors.mutable_cpus()->add_span();
        some.set_least(0);
        some.set_most(7);
        auto& few = *table.add_sets()->mutable_blocks()->add_span();
        few.set_least(0);
        few.set_most(7);
        return table;
    }
    static std::vector<int> hows(const SetDone& done) {
        std::vector<int> all;
        for (const SetResult& one : done.result()) all.push_back(one.how());
        return all;
    }
    static std::unique_ptr<Devices> devices_;
    static std::unique_ptr<PlayedClocks> clocks_;
    int expected_sets_ = 0;
};
std::unique_ptr<Devices> Setter::devices_;
std::unique_ptr<PlayedClocks> Setter::clocks_;

using Hows = std::vector<int>;

TEST_F(Setter, TakesProcessorsOfflineAndBackAgain) {
    Launcher launcher(table());
    const SetDone off = launcher.ask(cpus({{1, false}, {2, false}, {3, true}, {0, true}}));
    EXPECT_EQ(off.end(), SetDone::WHOLE);
    EXPECT_EQ(hows(off), Hows(4, SetResult::DONE));
    EXPECT_EQ(devices_->processor(1).front(), '0');
    EXPECT_EQ(devices_->processor(2).front(), '0');
    EXPECT_EQ(devices_->processor(3).front(), '1');
    EXPECT_EQ(hows(launcher.ask(cpus({{1, true}}))), Hows{SetResult::DONE});
    EXPECT_EQ(devices_->processor(1).front(), '1');
    EXPECT_TRUE(eventually([&] { return children_of(launcher.pid()).empty(); }));
}

TEST_F(Setter, LeavesSoManyProcessorsOnlineAsTheRuleSays) {
    Launcher launcher(table());
    EXPECT_EQ(hows(launcher.ask(cpus({{1, false}, {2, false}, {3, false}}))),
              (Hows{SetResult::DONE, SetResult::DONE, SetResult::BEYOND}));
    EXPECT_EQ(devices_->processor(3).front(), '1');
    EXPECT_EQ(hows(launcher.ask(cpus({{3, false}}))), Hows{SetResult::BEYOND});
    EXPECT_EQ(hows(launcher.ask(cpus({{1, true}, {3, false}}))), (Hows{SetResult::DONE, SetResult::DONE}));
}

TEST_F(Setter, EndsAtTheFirstProcessorThatFailsAndSaysWhy) {
    Launcher launcher(table());
    const SetDone fixed = launcher.ask(cpus({{1, false}, {0, false}, {2, false}}));
    EXPECT_EQ(fixed.end(), SetDone::WHOLE);
    EXPECT_EQ(hows(fixed), (Hows{SetResult::DONE, SetResult::CPU_FIXED}));
    EXPECT_EQ(devices_->processor(2).front(), '1');
    const SetDone missing = launcher.ask(cpus({{7, false}}));
    ASSERT_EQ(hows(missing), Hows{SetResult::CPU_DIRECTORY});
    EXPECT_EQ(missing.result(0).sys_errno(), ENOENT);
    devices_->change(": > $C/cpu1/online");
    EXPECT_EQ(hows(launcher.ask(cpus({{1, false}}))), Hows{SetResult::CPU_READ});
}

TEST_F(Setter, GivesAResultForEachBlock) {
    Launcher launcher(table());
    devices_->change("rm $M/memory2/state");
    const SetDone done =
        launcher.ask(blocks({{0, false}, {6, false}, {3, true}, {1, true}, {2, false}, {2, true}}));
    EXPECT_EQ(done.end(), SetDone::WHOLE);
    EXPECT_EQ(hows(done), (Hows{SetResult::DONE, SetResult::BLOCK_MISSING, SetResult::DONE, SetResult::DONE,
                                SetResult::BLOCK_UNSUPPORTED, SetResult::DONE}));
    EXPECT_TRUE(devices_->block(0).starts_with("offline"));
    EXPECT_TRUE(devices_->block(3).starts_with("online"));
    devices_->change("rm -r $M/memory*");
    shell("mount --move /sys/devices/system/memory /mnt");
    shell("mount -t tmpfs none /sys/devices/system/memory");
    EXPECT_EQ(hows(launcher.ask(blocks({{0, false}}))), Hows{SetResult::BLOCK_MISSING});
    shell("umount /sys/devices/system/memory; mount --move /mnt /sys/devices/system/memory");
}

TEST_F(Setter, IsNotNeededForAnEmptyList) {
    Launcher launcher(table());
    for (const ipc::SetOrder& order : {cpus({}), blocks({})}) {
        const SetDone done = launcher.ask(order);
        EXPECT_EQ(done.end(), SetDone::WHOLE);
        EXPECT_EQ(done.result_size(), 0);
    }
}

TEST_F(Setter, SetsTheClockAndThenTheHardwareClock) {
    devices_->with_hardware_clock(true);
    Launcher launcher(table());
    for (const std::int64_t step : {200 * kSecond, -200 * kSecond}) {
        const std::int64_t to = (now_ns() + step) / 1000 * 1000;
        EXPECT_EQ(hows(launcher.ask(clock_to(to))), Hows{SetResult::DONE});
        EXPECT_EQ(clocks_->set_to_ns, to);
        // The machine's own clock has not moved, and that is what the setter reads.
        EXPECT_LE(std::abs(clocks_->written_s - now_ns() / kSecond), 2);
    }
    EXPECT_EQ(clocks_->writes, 2);
    expected_sets_ = 2;
}

TEST_F(Setter, SetsTheClockWhereThereIsNoHardwareClockAndSaysSo) {
    Launcher launcher(table());
    const SetDone done = launcher.ask(clock_to(now_ns() + kSecond));
    EXPECT_EQ(done.end(), SetDone::WHOLE);
    EXPECT_EQ(hows(done), Hows{SetResult::NO_RTC});
    EXPECT_EQ(clocks_->writes, 0);
    expected_sets_ = 1;
}

TEST_F(Setter, SetsTheClockByTheHardwareClockAtTheBeginningOfASecond) {
    devices_->with_hardware_clock(true);
    Launcher launcher(table());
    const std::int64_t hardware = std::time(nullptr) + 100;
    clocks_->hardware_s = hardware;
    EXPECT_EQ(hows(launcher.ask(clock_to({}))), Hows{SetResult::DONE});
    EXPECT_EQ(clocks_->set_to_ns, (hardware + 1) * kSecond);
    EXPECT_EQ(clocks_->writes, 0);
    expected_sets_ = 1;
}

TEST_F(Setter, BelievesNoHardwareClockFurtherThanTheRule) {
    devices_->with_hardware_clock(true);
    Launcher launcher(table());
    for (const std::int64_t away : {310, -310}) {
        clocks_->hardware_s = std::time(nullptr) + away;
        EXPECT_EQ(hows(launcher.ask(clock_to({}))), Hows{SetResult::BEYOND}) << away;
    }
}

TEST_F(Setter, SaysWhichClockFailed) {
    Launcher launcher(table());
    const SetDone none = launcher.ask(clock_to({}));
    ASSERT_EQ(hows(none), Hows{SetResult::RTC_READ});
    EXPECT_EQ(none.result(0).sys_errno(), ENOENT);
    devices_->with_hardware_clock(true);
    clocks_->read_error = EIO;
    EXPECT_EQ(hows(launcher.ask(clock_to({}))), Hows{SetResult::RTC_READ});
    clocks_->write_error = EINVAL;
    EXPECT_EQ(hows(launcher.ask(clock_to(now_ns()))), Hows{SetResult::RTC_WRITE});
    clocks_->set_error = EPERM;
    const SetDone refused = launcher.ask(clock_to(now_ns()));
    ASSERT_EQ(hows(refused), Hows{SetResult::CLOCK});
    EXPECT_EQ(refused.result(0).sys_errno(), EPERM);
    EXPECT_EQ(clocks_->writes, 1) << "a hardware clock is not set where the system's was not";
    expected_sets_ = 2;
}

// A broker that was taken over.

TEST_F(Setter, IsNotStartedForWhatNoRuleCovers) {
    ipc::SetOrder far = cpus({{1, false}});
    far.mutable_vcpus()->mutable_item(0)->set_id(8);
    ipc::SetOrder negative = far;
    negative.mutable_vcpus()->mutable_item(0)->set_id(-1);
    ipc::SetOrder beside = cpus({{1, false}, {9, true}});
    ipc::SetOrder many = cpus({});
    for (std::size_t at = 0; at <= kMaxSetItems; ++at) many.mutable_vcpus()->add_item()->set_id(1);
    ipc::SetOrder largest = blocks({{~std::uint64_t{0}, true}});
    for (const ipc::SetOrder& order :
         {far, negative, beside, many, largest, blocks({{0, false}, {8, false}}), clock_to(-1),
          clock_to(kSettableEndNs), clock_to(std::numeric_limits<std::int64_t>::max()),
          clock_to(std::numeric_limits<std::int64_t>::min()), ipc::SetOrder()})
        Launcher(table()).expect_end(order);
    ipc::LauncherTable without = table();
    without.mutable_sets()->RemoveLast();
    Launcher(without).expect_end(blocks({{0, false}}));
    EXPECT_EQ(devices_->processor(1).front(), '1');
    EXPECT_TRUE(devices_->block(0).starts_with("online"));
}

TEST_F(Setter, IsNotStartedForANumberThatWasUsed) {
    Launcher launcher(table());
    ipc::SetOrder order = cpus({{1, false}});
    order.set_number(5);
    launcher.ask(order);
    order.set_number(4);
    launcher.expect_end(order);
}

TEST_F(Setter, IsNotStartedForAStepBeyondTheRule) {
    Launcher launcher(table());
    for (const std::int64_t step : {301 * kSecond, -302 * kSecond}) {
        const SetDone done = launcher.ask(clock_to(now_ns() + step));
        EXPECT_EQ(done.end(), SetDone::EXPIRED);
        EXPECT_EQ(done.result_size(), 0);
    }
}

TEST_F(Setter, IsNotStartedForARuleThatHasExpiredByTheLatestTimeThatWasSeen) {
    ipc::LauncherTable expired = table();
    const std::int64_t now = std::time(nullptr);
    for (ipc::SetRule& one : *expired.mutable_sets())
        one.mutable_times()->mutable_own()->set_expires(now + 1000);
    expired.set_floor(now + 1000);
    Launcher launcher(expired);
    for (const ipc::SetOrder& order : {clock_to(now_ns()), cpus({{1, false}}), blocks({{0, false}})})
        EXPECT_EQ(launcher.ask(order).end(), SetDone::EXPIRED);
    EXPECT_EQ(devices_->processor(1).front(), '1');
}

TEST_F(Setter, DoesNotSetTheClockFurtherBackThanTheLatestTimeLets) {
    ipc::LauncherTable ahead = table();
    ahead.set_floor(std::time(nullptr) + 250);  // it was set forwards and back since
    Launcher launcher(ahead);
    EXPECT_EQ(launcher.ask(clock_to(now_ns() - 100 * kSecond)).end(), SetDone::EXPIRED);
    EXPECT_EQ(hows(launcher.ask(clock_to(now_ns() - 10 * kSecond))), Hows{SetResult::NO_RTC});
    expected_sets_ = 1;
}

// A block that takes long.

class HungBlock {
public:
    explicit HungBlock(int number) : number_(std::to_string(number)), server_("/mnt", FUSE_WRITE_OPCODE) {
        shell("mount --bind /mnt/file /sys/devices/system/memory/memory" + number_ + "/state");
    }
    HungBlock(const HungBlock&) = delete;
    HungBlock& operator=(const HungBlock&) = delete;
    ~HungBlock() {
        server_.release();
        shell("umount -l /sys/devices/system/memory/memory" + number_ + "/state");
    }
    [[nodiscard]] bool is_waited_for() const { return server_.is_waited_for(); }
    void release() { server_.release(); }

private:
    static constexpr std::uint32_t FUSE_WRITE_OPCODE = 16;
    std::string number_;
    FuseServer server_;
};

TEST_F(Setter, ThatHangsInTheKernelIsLeftBehindAndHoldsUpNothing) {
    Launcher launcher(table(300));
    HungBlock block(1);
    const SetDone late = launcher.ask(blocks({{0, false}, {1, true}, {2, false}}));
    EXPECT_EQ(late.end(), SetDone::LATE);
    EXPECT_EQ(hows(late), Hows{SetResult::DONE}) << "what was done before is told";
    EXPECT_TRUE(block.is_waited_for());
    ASSERT_EQ(launcher.setters().size(), 1U) << "it cannot be killed";
    EXPECT_EQ(hows(launcher.ask(cpus({{1, false}}))), Hows{SetResult::DONE});
    for (std::size_t hung = 1; hung < kMaxSetters; ++hung)
        EXPECT_EQ(launcher.ask(blocks({{1, true}})).end(), SetDone::LATE);
    EXPECT_EQ(launcher.setters().size(), kMaxSetters);
    EXPECT_EQ(launcher.ask(blocks({{0, true}})).end(), SetDone::BUSY);
    block.release();
    EXPECT_TRUE(eventually([&] { return children_of(launcher.pid()).empty(); }));
    EXPECT_EQ(hows(launcher.ask(blocks({{0, true}}))), Hows{SetResult::DONE});
    EXPECT_TRUE(devices_->block(2).starts_with("online")) << "it did not go on after its end";
}

TEST_F(Setter, HoldsNothingButItsSocketAndOneBlock) {
    Launcher launcher(table());
    HungBlock block(1);
    launcher.order(blocks({{1, true}}));
    ASSERT_TRUE(block.is_waited_for());
    ASSERT_EQ(launcher.setters().size(), 1U);
    const pid_t setter = launcher.setters().front();
    for (const char* field : {"CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"})
        EXPECT_EQ(status_field(setter, field), "0000000000000000") << field;
    EXPECT_EQ(status_field(setter, "NoNewPrivs"), "1");
    EXPECT_EQ(status_field(setter, "Seccomp"), "2");
    std::size_t others = 0;
    for (const std::string& link : list_descriptors(setter))
        if (!link.starts_with("socket:") && link != "/dev/null") ++others;
    EXPECT_EQ(others, 3U) << "memory, memory1, state";
}

// Also one that has ended counts against the unit's bound of tasks until it is reaped.
TEST_F(Setter, ThatHasEndedIsReaped) {
    Launcher launcher(table());
    const std::string pid = std::to_string(launcher.pid());
    for (int at = 0; at < 20; ++at) EXPECT_EQ(hows(launcher.ask(cpus({{1, false}}))), Hows{SetResult::DONE});
    std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
    ASSERT_TRUE(children.is_open());
    const auto left = std::distance(std::istream_iterator<pid_t>(children), {});
    EXPECT_LE(left, 2) << "the last two may be on their way";
}

TEST_F(Setter, ThatCannotConfineItselfSetsNothing) {
    Launcher launcher(table(), refuse_landlock);
    for (const ipc::SetOrder& order : {cpus({{1, false}}), blocks({{1, false}}), clock_to(now_ns())}) {
        const SetDone done = launcher.ask(order);
        EXPECT_EQ(done.end(), SetDone::LOST);
        EXPECT_EQ(hows(done), Hows());
    }
    EXPECT_EQ(devices_->processor(1).front(), '1');
    EXPECT_TRUE(devices_->block(1).starts_with("online"));
}

TEST_F(Setter, ThatIsKilledIsAnAnswer) {
    Launcher launcher(table());
    HungBlock block(1);
    launcher.order(blocks({{0, false}, {1, true}}));
    ASSERT_TRUE(block.is_waited_for());
    send_signal(launcher.setters().front(), SIGKILL);
    block.release();
    const SetDone done = launcher.hear_done();
    EXPECT_NE(done.end(), SetDone::WHOLE);
    EXPECT_EQ(hows(done), Hows{SetResult::DONE});
}

// Whoever opens the file waits, for 45 s, and can be killed.
class HeldBlock {
public:
    explicit HeldBlock(int number)
        : file_(::open(("/sys/devices/system/memory/memory" + std::to_string(number) + "/state").c_str(),
                       O_RDWR | O_CLOEXEC)) {
        ::signal(SIGIO, SIG_IGN);
        EXPECT_EQ(::fcntl(file_.get(), F_SETLEASE, F_WRLCK), 0);
    }

private:
    UniqueFd file_;
};

TEST_F(Setter, ThatIsLateIsEnded) {
    Launcher launcher(table(300));
    {
        const HeldBlock block(1);
        EXPECT_EQ(launcher.ask(blocks({{1, false}})).end(), SetDone::LATE);
        EXPECT_TRUE(eventually([&] { return children_of(launcher.pid()).empty(); }));
    }
    EXPECT_TRUE(devices_->block(1).starts_with("online"));
}

TEST_F(Setter, EndsWithTheLauncher) {
    auto launcher = std::make_unique<Launcher>(table());
    const HeldBlock block(1);
    launcher->order(blocks({{0, false}, {1, false}}));
    ASSERT_TRUE(eventually([&] { return devices_->block(0).starts_with("offline"); }));
    ASSERT_EQ(launcher->setters().size(), 1U);
    const pid_t setter = launcher->setters().front();
    launcher.reset();
    EXPECT_TRUE(eventually([&] { return !is_running(setter); }));
}

}  // namespace
}  // namespace sallyport::test
