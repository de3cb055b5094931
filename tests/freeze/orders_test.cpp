// The guard by itself, with a broker that this test plays: mount points that are covered, or exchanged for links, after the guard has
// read the list of mounts and before it opens them. That is the moment between its two orders for a freeze by list.
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <functional>
#include <utility>

#include "tests/freeze/guard_alone.hpp"

namespace sallyport::test {
namespace {

TEST(BetweenListAndFreeze, NothingHappenedAndTheChosenFileSystemIsFrozen) {
    const auto systems = make_systems(2);
    const GuardAlone guard;
    EXPECT_EQ(guard.freeze(guard.list("/mnt/fs0")), 1U);
    std::unique_ptr<Child> writer;
    EXPECT_TRUE(blocks_writers("/mnt/fs0", writer));
    EXPECT_TRUE(is_writable("/mnt/fs1"));
    guard.thaw();
    EXPECT_EQ(writer->wait(), 0);
}

TEST(BetweenListAndFreeze, TheMountPointWasCoveredAndWhatCoversItIsNotFrozen) {
    const auto systems = make_systems(2);
    const GuardAlone guard;
    const std::uint32_t number = guard.list("/mnt/fs0");
    {
        const BindMount cover("/mnt/fs1", "/mnt/fs0");
        EXPECT_EQ(guard.freeze(number), 0U);
        EXPECT_TRUE(is_writable("/mnt/fs1"));
        guard.thaw();
    }
    EXPECT_TRUE(all_are_writable(systems));
}

// A disk that is mounted below a directory of a local user.
class BelowAUser {
public:
    BelowAUser() {
        fs::create_directories("/var/user");
        fs::create_directories("/mnt/user");
        disk_ = std::make_unique<LoopFs>(LoopFs::Wanted{.name = "user/disk"});
    }
    static constexpr const char* kPoint = "/mnt/user/disk";

private:
    std::unique_ptr<LoopFs> disk_;
};

// FUSE without a server: whoever asks it anything waits until it is gone.
class SilentFuse {
public:
    SilentFuse(const std::string& point, const std::string& option) : point_(point) {
        if (!fs::exists("/dev/fuse")) ::mknod("/dev/fuse", S_IFCHR | 0600, makedev(10, 229));
        device_ = UniqueFd(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
        const std::string options =
            "fd=" + std::to_string(device_.get()) + ",rootmode=40000,user_id=65534,group_id=65534" + option;
        if (::mount("silent", point.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) != 0)
            throw std::runtime_error("fuse");
    }
    SilentFuse(const SilentFuse&) = delete;
    SilentFuse& operator=(const SilentFuse&) = delete;
    ~SilentFuse() {
        device_.reset();
        EXPECT_EQ(::umount2(point_.c_str(), MNT_DETACH), 0);
    }

private:
    std::string point_;
    UniqueFd device_;
};

// What any user may mount, and what root lets users mount who may be seen by others.
constexpr std::array kFuseOptions{"", ",allow_other"};

TEST(FuseAboveADisk, FailsTheFreezeWhichNamesTheDiskAndHangsNobody) {
    const auto systems = make_systems(1);
    const BelowAUser disk;
    const GuardAlone guard;
    for (const char* option : kFuseOptions) {
        const SilentFuse fuse("/mnt/user", option);
        const ipc::GuardReply reply = guard.freeze_all();
        ASSERT_TRUE(reply.has_freeze_failed()) << option << reply.frozen().count() << " frozen";
        EXPECT_EQ(reply.freeze_failed().error().mount(), BelowAUser::kPoint);
        EXPECT_EQ(reply.freeze_failed().error().step(), ipc::MountError::OPEN);
        EXPECT_TRUE(all_are_writable(systems));
    }
    EXPECT_EQ(guard.freeze_all().frozen().count(), 2U) << "when it is gone";
    guard.thaw();
}

TEST(FuseAboveADisk, DoesNotMatterWhereTheDiskIsMountedElsewhereToo) {
    const BelowAUser disk;
    const BindMount other(BelowAUser::kPoint, "/mnt/other");
    const GuardAlone guard;
    const SilentFuse fuse("/mnt/user", ",allow_other");
    EXPECT_EQ(guard.freeze_all().frozen().count(), 1U);
    guard.thaw();
}

TEST(FuseAboveADisk, IsAnErrorOfThatDiskInATrimAndNothingStaysBusy) {
    const auto systems = make_systems(1);
    const BelowAUser disk;
    const GuardAlone guard;
    {
        const SilentFuse fuse("/mnt/user", ",allow_other");
        ipc::GuardRequest request;
        request.mutable_trim();
        guard.say(request);
        std::map<std::string, bool> trimmed;
        for (auto reply = guard.hear(); !reply.trimmed().last(); reply = guard.hear())
            trimmed[reply.trimmed().mount()] = reply.trimmed().error().step() != ipc::MountError::OPEN;
        EXPECT_EQ(trimmed, (std::map<std::string, bool>{{BelowAUser::kPoint, false}, {"/mnt/fs0", true}}));
    }
    EXPECT_EQ(guard.freeze_all().frozen().count(), 2U);
    guard.thaw();
}

TEST(FuseAboveADisk, KeepsNoGuardFromTakingOverWhatCanBeReached) {
    const auto systems = make_systems(1);
    const BelowAUser disk;
    const SilentFuse fuse("/mnt/user", ",allow_other");
    const GuardAlone guard(true);
    guard.thaw();
}

// Renames a directory above the disk while the guard's planner is about to say where the disk is; so often. Then does more.
void order_freeze_and_rename(const GuardAlone& guard, int times, const std::function<void()>& more = [] {}) {
    ASSERT_EQ(trace(PTRACE_SEIZE, guard.pid(), 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD), 0);
    guard.order_freeze_of_all();
    for (int renamed = 0; renamed < times; ++renamed) {
        if (renamed > 0) trace(PTRACE_CONT, guard.pid(), 0, 0);
        const pid_t planner = hold_planner(guard.pid());
        fs::rename(renamed % 2 == 0 ? "/mnt/user/a" : "/mnt/user/b",
                   renamed % 2 == 0 ? "/mnt/user/b" : "/mnt/user/a");
        if (renamed + 1 == times) more();
        trace(PTRACE_DETACH, planner, 0, 0);
    }
    trace(PTRACE_DETACH, guard.pid(), 0, 0);
}

class RenamedAbove : public testing::Test {
protected:
    RenamedAbove() {
        fs::create_directories("/var/user/a");
        fs::create_directories("/mnt/user/a");
        disk_ = std::make_unique<LoopFs>(LoopFs::Wanted{.name = "user/a/disk"});
    }
    ~RenamedAbove() override {
        if (fs::exists("/mnt/user/b")) fs::rename("/mnt/user/b", "/mnt/user/a");
    }
    std::unique_ptr<LoopFs> disk_;
};

TEST_F(RenamedAbove, OnceTheDiskIsFoundAgainAndFrozen) {
    const GuardAlone guard;
    order_freeze_and_rename(guard, 1);
    EXPECT_EQ(guard.hear().frozen().count(), 1U);
    std::unique_ptr<Child> writer;
    EXPECT_TRUE(blocks_writers("/mnt/user/b/disk", writer));
    guard.thaw();
    EXPECT_EQ(writer->wait(), 0);
}

// He lists it into memory that does not come, and makes a file in it: whoever looks for a name that is not in memory waits.
TEST_F(RenamedAbove, InADirectoryThatIsLockedNobodyWaitsForTheLock) {
    const GuardAlone guard;
    std::unique_ptr<HeldInACall> lister;
    std::unique_ptr<Child> maker;
    order_freeze_and_rename(guard, 1, [&] {
        lister = std::make_unique<HeldInACall>([](void* page) {
            ::syscall(SYS_getdents64, ::open("/mnt/user", O_RDONLY | O_DIRECTORY), page, 4096);
        });
        EXPECT_TRUE(lister->is_held());
        maker = std::make_unique<Child>([] { return ::mkdir("/mnt/user/new", 0700); });
        EXPECT_TRUE(eventually([&] { return state_of(maker->pid()) == 'D'; }));
    });
    EXPECT_EQ(guard.hear().frozen().count(), 1U);
    guard.thaw();
    lister->end();
    EXPECT_EQ(maker->wait(), 0);
    fs::remove("/mnt/user/new");
}

TEST_F(RenamedAbove, AgainAndAgainTheFreezeFails) {
    const auto systems = make_systems(1);
    const GuardAlone guard;
    order_freeze_and_rename(guard, 3);
    const ipc::GuardReply reply = guard.hear();
    ASSERT_TRUE(reply.has_freeze_failed()) << reply.frozen().count() << " frozen";
    EXPECT_EQ(reply.freeze_failed().error().mount(), "/mnt/user/a/disk");
    EXPECT_TRUE(all_are_writable(systems));
}

TEST(CoveredByRoot, TheDiskIsLeftOutAndThatIsSaid) {
    const auto systems = make_systems(2);
    const GuardAlone guard;
    {
        const BindMount cover("/mnt/fs1", "/mnt/fs0");
        const ipc::GuardReply reply = guard.freeze_all();
        EXPECT_EQ(reply.frozen().count(), 1U);
        EXPECT_EQ(reply.frozen().left_out(), 1U);
        guard.thaw();
    }
    EXPECT_EQ(guard.freeze_all().frozen().left_out(), 0U);
    guard.thaw();
}

TEST(GivenUp, AFreezeWhoseThawCameWhileTheGuardPlannedFreezesNothing) {
    const auto systems = make_systems(1);
    const GuardAlone guard;
    ASSERT_EQ(trace(PTRACE_SEIZE, guard.pid(), 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD), 0);
    guard.order_freeze_of_all();
    const pid_t planner = hold_planner(guard.pid());
    ipc::GuardRequest thaw;
    thaw.mutable_thaw()->set_freeze(1);
    guard.say(thaw);
    trace(PTRACE_DETACH, planner, 0, 0);
    trace(PTRACE_DETACH, guard.pid(), 0, 0);
    EXPECT_EQ(guard.hear().freeze_failed().error().sys_errno(), ECANCELED);
    EXPECT_EQ(guard.hear().thawed().count(), 0U);
    EXPECT_TRUE(all_are_writable(systems));
}

// It makes up numbers.
TEST(ABrokerThatWasTakenOver, FreezesNothingByNumbersThatNobodyGave) {
    const auto systems = make_systems(1);
    const GuardAlone guard;
    for (const std::uint32_t number : {1000U, ~0U}) {
        guard.list("/mnt/fs0");
        EXPECT_EQ(guard.freeze(number), 0U) << number;
    }
    ipc::GuardRequest request;
    for (const std::uint32_t row : {1U, ~0U}) {
        request.mutable_freeze()->set_row(row);
        guard.say(request);
        EXPECT_TRUE(guard.hear().has_freeze_failed()) << row;
        request.mutable_list()->set_row(row);
        guard.say(request);
        EXPECT_EQ(guard.hear().listed().mounts_size(), 0) << row;
        request.mutable_trim()->set_row(row);
        guard.say(request);
        EXPECT_TRUE(guard.hear().trimmed().last()) << row;
    }
    EXPECT_TRUE(all_are_writable(systems));
    EXPECT_EQ(guard.freeze(guard.list("/mnt/fs0")), 1U) << "it goes on";
    guard.thaw();
}

// Opening can be felt: a FUSE mount would be asked, and could let the guard wait.
TEST(BetweenListAndFreeze, ALinkTookThePlaceOfTheMountPointAndWhereItLeadsIsNotOpened) {
    const auto systems = make_systems(1);
    fs::create_directories("/mnt/was");
    fs::create_directories("/mnt/target");
    const GuardAlone guard;
    std::uint32_t number = 0;
    {
        const BindMount bind("/mnt/fs0", "/mnt/user/point");
        number = guard.list("/mnt/user/point");
    }
    // The other mount point of the file system is covered, so that only this one is left.
    ASSERT_EQ(::mount("cover", "/mnt/fs0", "tmpfs", 0, nullptr), 0);
    fs::remove("/mnt/user/point");
    fs::create_directory_symlink("/mnt/target", "/mnt/user/point");
    const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    ASSERT_GE(::inotify_add_watch(watch.get(), "/mnt/target", IN_OPEN), 0);
    EXPECT_EQ(guard.freeze(number), 0U);
    EXPECT_FALSE(wait_for(watch.get(), POLLIN, Deadline(milliseconds(0)))) << "it was opened";
    guard.thaw();
    ASSERT_EQ(::umount("/mnt/fs0"), 0);
    EXPECT_TRUE(all_are_writable(systems));
}

}  // namespace
}  // namespace sallyport::test
