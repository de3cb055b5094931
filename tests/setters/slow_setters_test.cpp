// Setters whose file does not answer, or that are killed: who waits for them, and who does not.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <csignal>

#include "ipc/limits.hpp"
#include "tests/e2e/guest.hpp"
#include "tests/files/fuse_server.hpp"
#include "tests/setters/asked_launcher.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::test {
namespace {

class HungFile {
public:
    explicit HungFile(const std::string& name) : path_("/sys/devices/system/" + name) {
        shell("mount --bind /mnt/file " + path_);
    }
    HungFile(const HungFile&) = delete;
    HungFile& operator=(const HungFile&) = delete;
    ~HungFile() {
        server_.release();
        shell("umount -l " + path_);
    }
    [[nodiscard]] bool is_waited_for() const { return server_.is_waited_for(); }
    void release() { server_.release(); }

private:
    static constexpr std::uint32_t FUSE_WRITE_OPCODE = 16;
    std::string path_;
    FuseServer server_{"/mnt", FUSE_WRITE_OPCODE};
};
constexpr const char* kBlock1 = "memory/memory1/state";

TEST_F(Setter, ThatHangsInTheKernelIsLeftBehindAndHoldsUpNothing) {
    SettingLauncher launcher(table(300));
    HungFile block(kBlock1);
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

// A broker that was taken over does not wait for the end of its last order.
TEST_F(Setter, OfProcessorsIsAloneSoThatNoTwoCountTheSame) {
    SettingLauncher launcher(table());
    {
        HungFile processor("cpu/cpu1/online");
        launcher.order(cpus({{1, false}}));
        ASSERT_TRUE(processor.is_waited_for()) << "it has counted four";
        const SetDone second = launcher.ask(cpus({{2, false}, {3, false}}));
        EXPECT_EQ(second.end(), SetDone::BUSY);
        EXPECT_EQ(hows(second), Hows());
        EXPECT_EQ(devices_->processor(2).front(), '1');
        EXPECT_EQ(hows(launcher.ask(blocks({{0, false}}))), Hows{SetResult::DONE})
            << "blocks are not counted";
        processor.release();
        EXPECT_EQ(launcher.hear_done().end(), SetDone::WHOLE);
    }
    EXPECT_EQ(hows(launcher.ask(cpus({{2, false}, {3, false}}))), (Hows{SetResult::DONE, SetResult::DONE}));
}

TEST_F(Setter, OfProcessorsThatWasLateAndCannotBeKilledIsWaitedFor) {
    SettingLauncher launcher(table(300));
    HungFile processor("cpu/cpu1/online");
    EXPECT_EQ(launcher.ask(cpus({{1, false}})).end(), SetDone::LATE);
    EXPECT_EQ(launcher.ask(cpus({{2, false}, {3, false}})).end(), SetDone::BUSY);
    EXPECT_EQ(devices_->processor(3).front(), '1');
    processor.release();
    EXPECT_TRUE(eventually([&] { return children_of(launcher.pid()).empty(); }));
    EXPECT_EQ(hows(launcher.ask(cpus({{2, false}}))), Hows{SetResult::DONE});
}

TEST_F(Setter, HoldsNothingButItsSocketAndOneBlock) {
    SettingLauncher launcher(table());
    HungFile block(kBlock1);
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

TEST_F(Setter, ThatIsKilledIsAnAnswer) {
    SettingLauncher launcher(table());
    HungFile block(kBlock1);
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
    SettingLauncher launcher(table(300));
    {
        const HeldBlock block(1);
        EXPECT_EQ(launcher.ask(blocks({{1, false}})).end(), SetDone::LATE);
        EXPECT_TRUE(eventually([&] { return children_of(launcher.pid()).empty(); }));
    }
    EXPECT_TRUE(devices_->block(1).starts_with("online"));
}

TEST_F(Setter, EndsWithTheLauncher) {
    auto launcher = std::make_unique<SettingLauncher>(table());
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
