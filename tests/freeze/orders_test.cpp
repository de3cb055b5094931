// The guard by itself, with a broker that this test plays: mount points that are covered, or exchanged for links, after the guard has
// read the list of mounts and before it opens them. That is the moment between its two orders for a freeze by list. And its planner.
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/ptrace.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <utility>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/guard.pb.h"
#include "tests/freeze/freezing.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

class GuardAlone {
public:
    explicit GuardAlone(bool takes_over = false) {
        auto sockets = ipc::socket_pair();
        if (!sockets) throw std::runtime_error("socket_pair");
        broker_ = std::move(sockets->first);
        guard_ =
            std::make_unique<Child>(Program{.words = {build_root() + "/broker/guard/guard", "serve"},
                                            .environment = {},
                                            .output = {},
                                            .before_exec = [other = sockets->second.get()] {
                                                const int aside = ::fcntl(other, F_DUPFD, 10);
                                                if (::dup2(aside, 3) != 3 || ::close_range(4, ~0U, 0) != 0)
                                                    ::_exit(120);
                                            }});
        ipc::GuardRequest row;
        ipc::FreezeSelection& selection = *row.mutable_add_row()->mutable_selection();
        selection.set_max_frozen_ms(60'000);
        selection.set_per_mount_ms(10'000);
        say(row);
        ipc::GuardRequest lock;
        lock.mutable_lock()->set_take_over(takes_over);
        say(lock);
        if (!hear().has_ready()) throw std::runtime_error("the guard is not ready");
    }

    void say(const ipc::GuardRequest& request) const {
        std::string frame;
        ipc::encode(request, frame);
        EXPECT_TRUE(ipc::send(broker_, frame, ipc::WhenFull::kWait));
    }
    /// The next word but that it has begun.
    [[nodiscard]] ipc::GuardReply hear() const {
        ipc::GuardReply reply = hear_next();
        return reply.has_begun() ? hear_next() : reply;
    }
    [[nodiscard]] ipc::GuardReply hear_next() const {
        if (!wait_for(broker_.get(), POLLIN, Deadline())) throw std::runtime_error("the guard says nothing");
        ipc::Frame frame;
        ipc::GuardReply reply;
        std::string scratch;
        if (!ipc::receive(broker_, frame).value_or(false) || !ipc::decode(frame.bytes, reply, scratch))
            throw std::runtime_error("the guard is gone");
        return reply;
    }
    /// Has it read the list of mounts; the number of the file system that is mounted on `point`.
    std::uint32_t list(const std::string& point) const {
        ipc::GuardRequest request;
        request.mutable_list();
        say(request);
        const ipc::GuardReply reply = hear();
        for (const auto& mount : reply.listed().mounts())
            if (mount.point() == point) return mount.number();
        throw std::runtime_error("not listed: " + point);
    }
    /// Has it freeze all.
    [[nodiscard]] ipc::GuardReply freeze_all() const {
        order_freeze_of_all();
        return hear();
    }
    void order_freeze_of_all() const {
        ipc::GuardRequest request;
        request.mutable_freeze()->set_freeze(1);
        say(request);
    }
    /// Has it freeze the file system of that number; how many are frozen then.
    std::uint32_t freeze(std::uint32_t number) const {
        ipc::GuardRequest request;
        request.mutable_freeze()->set_chosen_only(true);
        request.mutable_freeze()->set_freeze(1);
        request.mutable_freeze()->add_chosen(number);
        say(request);
        return hear().frozen().count();
    }
    void thaw() const {
        ipc::GuardRequest request;
        request.mutable_thaw()->set_freeze(1);
        say(request);
        EXPECT_TRUE(hear().has_thawed());
    }

    [[nodiscard]] pid_t pid() const { return guard_->pid(); }

private:
    UniqueFd broker_;
    std::unique_ptr<Child> guard_;
};

template <typename... More>
long trace(int request, pid_t process, More... more) {
    return ::syscall(SYS_ptrace, request, process, more...);
}

// The call that a process is stopped at the beginning of; -1 if it is stopped elsewhere.
long call_begun(pid_t process, ptrace_syscall_info& info) {
    const bool begins = trace(PTRACE_GET_SYSCALL_INFO, process, sizeof info, &info) > 0 &&
                        info.op == PTRACE_SYSCALL_INFO_ENTRY;
    return begins ? static_cast<long>(info.entry.nr) : -1;
}

// Holds it where it is about to make that call.
void hold_at(pid_t process, long call) {
    int status = 0;
    while (::waitpid(process, &status, __WALL) == process && WIFSTOPPED(status)) {
        ptrace_syscall_info info{};
        if (call_begun(process, info) == call) return;
        trace(PTRACE_SYSCALL, process, 0, 0);
    }
    throw std::runtime_error("it ended before that call");
}

// The child that it has just made.
pid_t child_of_fork(pid_t process) {
    unsigned long child = 0;
    trace(PTRACE_GETEVENTMSG, process, 0, &child);
    return static_cast<pid_t>(child);
}

// The guard's next child; the guard is held where it has just made it.
pid_t next_child(pid_t guard) {
    int status = 0;
    while (::waitpid(guard, &status, __WALL) == guard && status >> 16 != PTRACE_EVENT_FORK)
        trace(PTRACE_CONT, guard, 0, 0);
    return child_of_fork(guard);
}

// The guard's next child, held where it is about to say something.
pid_t hold_planner(pid_t guard) {
    const pid_t planner = next_child(guard);
    hold_at(planner, SYS_sendto);
    return planner;
}

// What the guard, which is held, does first: begins to wait for the end of a process (true), or makes another.
bool waits_before_it_forks(pid_t guard) {
    int status = 0;
    trace(PTRACE_SYSCALL, guard, 0, 0);
    while (::waitpid(guard, &status, __WALL) == guard && WIFSTOPPED(status)) {
        if (status >> 16 == PTRACE_EVENT_FORK) return false;
        ptrace_syscall_info info{};
        long polled = 0;
        if (call_begun(guard, info) == SYS_ppoll &&
            trace(PTRACE_PEEKDATA, guard, info.entry.args[0], &polled) == 0) {
            const auto fd = std::to_string(static_cast<int>(polled));
            const auto what = fs::read_symlink("/proc/" + std::to_string(guard) + "/fd/" + fd);
            if (what == "anon_inode:[pidfd]") return true;
        }
        trace(PTRACE_SYSCALL, guard, 0, 0);
    }
    throw std::runtime_error("the guard has ended");
}

// Follows the guard and its children until they have frozen `wanted` file systems. The exit status: how many calls to write one out came
// before the first was frozen.
int count_writes_before_freezing(pid_t guard, int wanted, int ready) {
    constexpr long kOptions = PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD;
    if (trace(PTRACE_SEIZE, guard, 0, kOptions) != 0 || trace(PTRACE_INTERRUPT, guard, 0, 0) != 0) return 100;
    int written = 0;
    bool is_told = false;
    for (int frozen = 0; frozen < wanted;) {
        int status = 0;
        const pid_t process = ::waitpid(-1, &status, __WALL);
        if (process < 0) return 101;
        if (!WIFSTOPPED(status)) continue;
        if (!std::exchange(is_told, true) && ::write(ready, "", 1) != 1) return 102;
        ptrace_syscall_info info{};
        if (WSTOPSIG(status) == (SIGTRAP | 0x80) &&
            trace(PTRACE_GET_SYSCALL_INFO, process, sizeof info, &info) > 0 &&
            info.op == PTRACE_SYSCALL_INFO_ENTRY) {
            if (info.entry.nr == SYS_ioctl && info.entry.args[1] == FIFREEZE) ++frozen;
            if (info.entry.nr == SYS_syncfs && frozen == 0) ++written;
        }
        const bool is_signal = status >> 16 == 0 && WSTOPSIG(status) != (SIGTRAP | 0x80);
        trace(PTRACE_SYSCALL, process, 0, is_signal ? WSTOPSIG(status) : 0);
    }
    return written;
}

std::map<std::string, std::string> status_of(pid_t process) {
    std::map<std::string, std::string> lines;
    std::ifstream file("/proc/" + std::to_string(process) + "/status");
    for (std::string name, value; std::getline(file, name, ':') && std::getline(file >> std::ws, value);)
        lines[name] = value;
    return lines;
}

TEST(Planner, HoldsNoCapabilityAndNoSocketButItsOwn) {
    const GuardAlone guard;
    ASSERT_EQ(trace(PTRACE_SEIZE, guard.pid(), 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD), 0);
    ipc::GuardRequest request;
    request.mutable_list();
    guard.say(request);
    const pid_t planner = hold_planner(guard.pid());
    auto status = status_of(planner);
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
        EXPECT_EQ(status[set], "0000000000000000") << set;
    EXPECT_EQ(status["NoNewPrivs"], "1");
    EXPECT_EQ(status["Seccomp_filters"], "2") << "the guard's and its own";
    std::size_t sockets = 0;
    std::size_t all = 0;
    for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(planner) + "/fd")) {
        ++all;
        sockets += fs::read_symlink(entry).string().starts_with("socket:") ? 1U : 0U;
    }
    EXPECT_EQ(sockets, 1U);
    EXPECT_EQ(all, 3U) << "its socket, the list of mounts, /sys";
    trace(PTRACE_DETACH, planner, 0, 0);
    trace(PTRACE_DETACH, guard.pid(), 0, 0);
    EXPECT_TRUE(guard.hear().has_listed());
    EXPECT_TRUE(eventually([&] { return !is_running(planner); }));
}

class PlannerThat : public testing::Test {
protected:
    /// Gives the order, and the planner that is forked for it `act`s when it is about to say something.
    void give(const ipc::GuardRequest& order, void (*act)(pid_t planner)) {
        ASSERT_EQ(trace(PTRACE_SEIZE, guard_.pid(), 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD), 0);
        guard_.say(order);
        planner_ = hold_planner(guard_.pid());
        act(planner_);
        trace(PTRACE_DETACH, guard_.pid(), 0, 0);
    }
    static void die(pid_t planner) {
        int status = 0;
        ::kill(planner, SIGKILL);
        EXPECT_EQ(::waitpid(planner, &status, __WALL), planner);
    }
    /// As in a read of /sys that does not end.
    static void hang(pid_t planner) { trace(PTRACE_DETACH, planner, 0, SIGSTOP); }
    static ipc::GuardRequest list() {
        ipc::GuardRequest order;
        order.mutable_list();
        return order;
    }
    static ipc::GuardRequest freeze(bool chosen_only) {
        ipc::GuardRequest order;
        order.mutable_freeze()->set_freeze(1);
        order.mutable_freeze()->set_chosen_only(chosen_only);
        return order;
    }
    static ipc::GuardRequest trim() {
        ipc::GuardRequest order;
        order.mutable_trim();
        return order;
    }
    static void expect_unplanned(const ipc::MountError& error, int sys_errno) {
        EXPECT_EQ(error.step(), ipc::MountError::PLAN);
        EXPECT_EQ(error.sys_errno(), sys_errno);
    }
    /// That the next order is carried out as if nothing had been.
    void expect_that_it_goes_on() {
        EXPECT_EQ(guard_.freeze(guard_.list("/mnt/fs0")), 1U);
        guard_.thaw();
        guard_.say(trim());
        ipc::GuardReply reply = guard_.hear();
        while (!reply.trimmed().last()) reply = guard_.hear();
        EXPECT_FALSE(reply.trimmed().has_error());
    }

    std::vector<std::unique_ptr<LoopFs>> systems_ = make_systems(1);
    GuardAlone guard_;
    pid_t planner_ = -1;
};

TEST_F(PlannerThat, DiesHasListedNothingSoThatAFreezeByThatListFails) {
    give(list(), die);
    EXPECT_EQ(guard_.hear().listed().mounts_size(), 0);
    guard_.say(freeze(true));
    expect_unplanned(guard_.hear().freeze_failed().error(), EIO);
    expect_that_it_goes_on();
}

TEST_F(PlannerThat, DiesFailsTheFreeze) {
    give(freeze(false), die);
    expect_unplanned(guard_.hear().freeze_failed().error(), EIO);
    expect_that_it_goes_on();
}

TEST_F(PlannerThat, DiesFailsTheTrim) {
    give(trim(), die);
    const ipc::GuardReply reply = guard_.hear();
    EXPECT_TRUE(reply.trimmed().last());
    expect_unplanned(reply.trimmed().error(), EIO);
    expect_that_it_goes_on();
}

TEST_F(PlannerThat, HangsIsKilledAndTheNextIsStarted) {
    give(trim(), hang);
    const ipc::GuardReply reply = guard_.hear();
    EXPECT_TRUE(reply.trimmed().last());
    expect_unplanned(reply.trimmed().error(), ETIMEDOUT);
    EXPECT_FALSE(is_running(planner_));
    expect_that_it_goes_on();
}

TEST(AFreeze, WritesEverythingOutBeforeTheFirstFileSystemIsFrozen) {
    const auto systems = make_systems(3);
    const GuardAlone guard;
    std::array<int, 2> ready{};
    ASSERT_EQ(::pipe2(ready.data(), O_CLOEXEC), 0);
    const UniqueFd is_followed(ready[0]);
    UniqueFd follows(ready[1]);
    Child tracer([&] { return count_writes_before_freezing(guard.pid(), 3, follows.get()); });
    follows.reset();
    ASSERT_TRUE(wait_for(is_followed.get(), POLLIN, Deadline()));
    ipc::GuardRequest request;
    request.mutable_freeze()->set_freeze(1);
    guard.say(request);
    EXPECT_EQ(guard.hear().frozen().count(), 3U);
    const auto written = tracer.wait();
    ASSERT_TRUE(written);
    EXPECT_GE(*written, 3);
    EXPECT_LT(*written, 100);
}

// The planner is held as long as the guard lets it live.
TEST(Planner, HasEndedBeforeThereIsAnybodyWhoFreezes) {
    const auto systems = make_systems(1);
    const GuardAlone guard;
    ASSERT_EQ(trace(PTRACE_SEIZE, guard.pid(), 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD), 0);
    ipc::GuardRequest request;
    request.mutable_freeze()->set_freeze(1);
    guard.say(request);
    const pid_t planner = next_child(guard.pid());
    hold_at(planner, SYS_exit_group);
    const bool waits = waits_before_it_forks(guard.pid());
    EXPECT_TRUE(waits) << "another process is there beside the planner";
    trace(PTRACE_DETACH, planner, 0, 0);
    if (waits) trace(PTRACE_CONT, guard.pid(), 0, 0);
    const pid_t freezer = waits ? next_child(guard.pid()) : child_of_fork(guard.pid());
    EXPECT_FALSE(waits && is_running(planner));
    int status = 0;
    ASSERT_EQ(::waitpid(freezer, &status, __WALL), freezer);
    trace(PTRACE_DETACH, freezer, 0, 0);
    trace(PTRACE_DETACH, guard.pid(), 0, 0);
    EXPECT_EQ(guard.hear().frozen().count(), 1U);
    guard.thaw();
    EXPECT_TRUE(all_are_writable(systems));
}

// A service manager starts this guard with all that root has.
TEST(Planner, OfAThawAfterTheServiceHoldsNoCapabilityEither) {
    const Scratch scratch;
    scratch.write("sallyport.frozen", read_file("/proc/sys/kernel/random/boot_id"));
    Child thaw(Program{.words = {build_root() + "/broker/guard/guard", "thaw", scratch.path()},
                       .environment = {},
                       .output = {},
                       .before_exec = [] { trace(PTRACE_TRACEME, 0, 0, 0); }});
    int begun = 0;
    ASSERT_EQ(::waitpid(thaw.pid(), &begun, __WALL), thaw.pid());
    ASSERT_EQ(trace(PTRACE_SETOPTIONS, thaw.pid(), 0,
                    PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL),
              0);
    trace(PTRACE_CONT, thaw.pid(), 0, 0);
    const pid_t planner = hold_planner(thaw.pid());
    auto status = status_of(planner);
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
        EXPECT_EQ(status[set], "0000000000000000") << set;
    EXPECT_EQ(status["NoNewPrivs"], "1");
    EXPECT_EQ(status["Seccomp"], "2");
    EXPECT_NE(status_of(thaw.pid())["CapEff"], "0000000000000000") << "there is nothing to be dropped";
    trace(PTRACE_DETACH, planner, 0, 0);
    trace(PTRACE_DETACH, thaw.pid(), 0, 0);
    EXPECT_EQ(thaw.wait(), 0);
}

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
