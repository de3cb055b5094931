// A freeze that the kernel does not finish, since a process without privilege is inside a write: what is answered, written down and thawed
// meanwhile, and that all is well when that process is gone.
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/freeze/freezing.hpp"
#include "tests/support/audit.hpp"

namespace sallyport::test {
namespace {

std::string policy() {
    return freeze_policy("per_mount = \"300ms\", max_frozen = \"2s\"") +
           "[[allow]]\nid = \"look\"\ncommands = [\"guest-get-osinfo\"]\n";
}

// The kernel lets nobody freeze while it writes, and nobody write while somebody waits to freeze.
class AFreezeThatIsHeldUp : public testing::Test {
protected:
    void hold_up() {
        writer_ = std::make_unique<HeldInACall>([](void* page) {
            const int file = ::open("/mnt/fs0/written", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
            if (::setuid(65534) != 0) return;
            [[maybe_unused]] const ssize_t put = ::write(file, page, 100);
        });
        ASSERT_TRUE(writer_->is_held());
    }
    void expect_all_is_well(HostClient& host) {
        writer_->end();
        EXPECT_TRUE(eventually([&] { return status(host) == "thawed"; }));
        EXPECT_TRUE(all_are_writable(systems_));
        EXPECT_EQ(freeze(host), 2);
        EXPECT_EQ(thaw(host), 2);
    }

    std::vector<std::unique_ptr<LoopFs>> systems_ = make_systems(2);
    std::unique_ptr<HeldInACall> writer_;
};

TEST_F(AFreezeThatIsHeldUp, FailsAndAllElseGoesOn) {
    Agent agent({.policy = policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    hold_up();
    EXPECT_EQ(desc_of(ask(host, "guest-fsfreeze-freeze")), "failed to thaw /mnt/fs0: Connection timed out");
    EXPECT_TRUE(is_writable("/mnt/fs1"));
    EXPECT_EQ(status(host), "frozen");
    EXPECT_EQ(desc_of(ask(host, "guest-fsfreeze-thaw")), "failed to thaw /mnt/fs0: Connection timed out");
    EXPECT_EQ(class_of(ask(host, "guest-get-osinfo")), "") << "the log is not on that file system";
    EXPECT_EQ(class_of(ask(host, "guest-fsfreeze-freeze")), "GenericError");
    EXPECT_TRUE(eventually([&] { return agent.count_audit("what", "not-thawed") == 1; })) << "on the disk";
    expect_all_is_well(host);
}

TEST_F(AFreezeThatIsHeldUp, KeepsTheLogHeldWhereThatIsOnTheFileSystem) {
    Agent agent({.policy = policy(), .prepare = [&](const Scratch& scratch) {
                     ASSERT_EQ(::mount("/mnt/fs0", scratch.path("state").c_str(), nullptr, MS_BIND, nullptr),
                               0);
                 }});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    {
        HostClient host = agent.connect();
        hold_up();
        EXPECT_EQ(desc_of(ask(host, "guest-fsfreeze-freeze")),
                  "failed to thaw /mnt/fs0: Connection timed out");
        EXPECT_EQ(status(host), "frozen");
        EXPECT_EQ(class_of(ask(host, "guest-get-osinfo")), "CommandNotFound");
        EXPECT_TRUE(is_writable("/mnt/fs1"));
        expect_all_is_well(host);
        EXPECT_EQ(agent.count_audit("what", "not-thawed"), 1U);
    }
    EXPECT_EQ(agent.stop(), 0);
    EXPECT_EQ(::umount2(agent.state().c_str(), 0), 0);
}

}  // namespace
}  // namespace sallyport::test
