// The guard's planner, which reads what there is to freeze: what it holds, when it has ended, and what becomes of an order without a plan.
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <signal.h>

#include <array>
#include <ctime>
#include <fstream>
#include <map>
#include <utility>

#include "tests/freeze/guard_alone.hpp"
#include "tests/support/refused_filter.hpp"

namespace sallyport::test {
namespace {

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

TEST_F(PlannerThat, CannotConfineItselfSaysNothing) {
    ASSERT_EQ(trace(PTRACE_SEIZE, guard_.pid(), 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD), 0);
    guard_.say(list());
    planner_ = next_child(guard_.pid());
    hold_at(planner_, SYS_seccomp);
    while (!is_asking_for_filter(planner_)) {
        trace(PTRACE_SYSCALL, planner_, 0, 0);
        hold_at(planner_, SYS_seccomp);
    }
    EXPECT_TRUE(take_program_away(planner_));
    trace(PTRACE_DETACH, planner_, 0, 0);
    trace(PTRACE_DETACH, guard_.pid(), 0, 0);
    EXPECT_EQ(guard_.hear().listed().mounts_size(), 0);
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

// It is held where a process stops for the last time: so it has not ended, whoever kills it.
TEST_F(PlannerThat, CannotBeKilledIsTheOnlyOneUntilItHasEnded) {
    give(trim(), [](pid_t planner) { trace(PTRACE_SETOPTIONS, planner, 0, PTRACE_O_TRACEEXIT); });
    ipc::GuardReply reply = guard_.hear();
    EXPECT_TRUE(reply.trimmed().last());
    expect_unplanned(reply.trimmed().error(), ETIMEDOUT);
    for (const auto& order : {trim(), list(), freeze(false)}) {
        guard_.say(order);
        reply = guard_.hear();
        EXPECT_EQ(children_of(guard_.pid()), std::vector{planner_});
        if (reply.has_trimmed()) expect_unplanned(reply.trimmed().error(), EBUSY);
        EXPECT_EQ(reply.listed().mounts_size(), 0);
        if (reply.has_freeze_failed()) expect_unplanned(reply.freeze_failed().error(), EBUSY);
        EXPECT_FALSE(reply.has_frozen());
    }
    int status = 0;
    ASSERT_EQ(::waitpid(planner_, &status, __WALL), planner_);
    EXPECT_EQ(status >> 8, SIGTRAP | PTRACE_EVENT_EXIT << 8);
    trace(PTRACE_DETACH, planner_, 0, 0);
    EXPECT_TRUE(eventually([&] { return !is_running(planner_); }));
    expect_that_it_goes_on();
}

// The time that passes while the machine is suspended counts.
TEST(AFreeze, EndsByAClockThatGoesOnDuringASuspend) {
    const auto systems = make_systems(1);
    const GuardAlone guard;
    EXPECT_EQ(guard.freeze(guard.list("/mnt/fs0")), 1U);
    std::vector<std::string> clocks;
    for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(guard.pid()) + "/fdinfo")) {
        const std::string info = read_file(entry.path());
        if (info.find("\nit_value: (") == info.npos || info.find("\nit_value: (0, 0)") != info.npos) continue;
        const std::size_t at = info.find("clockid: ");
        clocks.push_back(info.substr(at, info.find('\n', at) - at));
    }
    EXPECT_EQ(clocks, std::vector<std::string>{"clockid: " + std::to_string(CLOCK_BOOTTIME)});
    guard.thaw();
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
    guard.thaw();
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

}  // namespace
}  // namespace sallyport::test
