// The launcher, a program's supervisor, a program with `confine` and a setter, each after its lockdown.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <string>

#include "sandbox/landlock.hpp"
#include "sandbox/lockdown.hpp"
#include "sandbox/proof.hpp"
#include "tests/sandbox/confined.hpp"

namespace sallyport::sandbox::testing {
namespace {

constexpr std::uint64_t bit(unsigned capability) {
    return std::uint64_t{1} << capability;
}

std::uint64_t bits(const LauncherNeeds& needs) {
    std::uint64_t all = 0;
    for (const KeptCapability& one : launcher_capabilities(needs))
        all |= bit(static_cast<unsigned>(one.capability));
    return all;
}

// Of this process: what the kernel says, opened before.
Result<Credentials> credentials_now() {
    const UniqueFd status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    return read_credentials(status);
}

TEST(LauncherCapabilities, FollowFromTheTable) {
    EXPECT_EQ(bits({}), bit(CAP_KILL));
    EXPECT_EQ(bits({.asks_kernel = true}), bit(CAP_KILL) | bit(CAP_SYS_BOOT));
    EXPECT_EQ(bits({.takes_users = true}), bit(CAP_KILL) | bit(CAP_SETUID) | bit(CAP_SETGID));
    EXPECT_EQ(bits({.cuts_network = true}), bit(CAP_KILL) | bit(CAP_SYS_ADMIN));
}

TEST(LauncherCapabilities, AreLeftOutWhereTheServiceManagerTookThemUnlessAProgramCouldNotBeEnded) {
    EXPECT_TRUE(in_child([] {
                    for (const int one : {CAP_KILL, CAP_SYS_BOOT})
                        if (::prctl(PR_CAPBSET_DROP, one, 0, 0, 0) != 0) return 10;
                    if (bits({.asks_kernel = true}) != 0) return 20;
                    return bits({.takes_users = true}) == (bit(CAP_KILL) | bit(CAP_SETUID) | bit(CAP_SETGID))
                               ? 0
                               : 30;
                }).exited());
}

TEST(LauncherProcess, HoldsWhatItsTableNeedsAndNoMore) {
    EXPECT_TRUE(in_child([] {
                    const LauncherNeeds needs{.takes_users = true};
                    if (const int failed = report(lockdown_launcher(needs)); failed != 0) return failed;
                    const auto held = credentials_now();
                    return held && held->capabilities[1] == bits(needs) &&
                                   held->capabilities[2] == bits(needs)
                               ? 0
                               : 20;
                }).exited());
}

TEST(SupervisorProcess, HoldsNothingButTheRightToKill) {
    EXPECT_TRUE(in_child([] {
                    if (const int failed = report(lockdown_launcher(
                            {.asks_kernel = true, .takes_users = true, .cuts_network = true}));
                        failed != 0)
                        return failed;
                    if (const int failed = report(lockdown_supervisor()); failed != 0) return failed;
                    const auto held = credentials_now();
                    const bool is_so = held && held->no_new_privileges &&
                                       held->capabilities[1] == bit(CAP_KILL) &&
                                       held->capabilities[2] == bit(CAP_KILL);
                    return is_so ? 0 : 20;
                }).exited());
}

TEST(SupervisorProcess, WritesNoFileAndKillsAProgramThatWasStartedBefore) {
    EXPECT_TRUE(in_child([] {
                    const pid_t program = ::fork();
                    if (program == 0) {
                        if (!become_ordinary()) ::_exit(9);
                        for (;;) ::pause();
                    }
                    if (const int failed = report(lockdown_supervisor()); failed != 0) return failed;
                    const UniqueFd file(::open("/dev/null", O_WRONLY | O_CLOEXEC));
                    if (file.is_open() || errno != EACCES) return 21;
                    int status = 0;
                    const bool is_killed =
                        ::kill(program, SIGKILL) == 0 && ::waitpid(program, &status, 0) == program;
                    return is_killed && WIFSIGNALED(status) ? 0 : 22;
                }).exited());
}

// What the kernel says of a setter that has locked itself down and now waits.
Credentials credentials_of_setter(const SetterNeeds& needs) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    const UniqueFd ours(ends[0]);
    const UniqueFd theirs(ends[1]);
    const pid_t setter = ::fork();
    if (setter == 0) {
        if (report(lockdown_setter(needs)) != 0) ::_exit(9);
        ::send(theirs.get(), "1", 1, 0);
        for (;;) ::ppoll(nullptr, 0, nullptr, nullptr);
    }
    char said = '0';
    EXPECT_EQ(::recv(ours.get(), &said, 1, 0), 1);
    const UniqueFd status(
        ::open(("/proc/" + std::to_string(setter) + "/status").c_str(), O_RDONLY | O_CLOEXEC));
    const auto held = read_credentials(status);
    EXPECT_EQ(::kill(setter, SIGKILL), 0);
    EXPECT_EQ(::waitpid(setter, nullptr, 0), setter);
    EXPECT_TRUE(held);
    return held ? *held : Credentials();
}

TEST(SetterProcess, OfTheClockHoldsTheRightToSetItAndNoOther) {
    const Credentials held = credentials_of_setter({.sets_clock = true});
    EXPECT_EQ(held.capabilities[0], 0U);
    EXPECT_EQ(held.capabilities[1], bit(CAP_SYS_TIME));
    EXPECT_EQ(held.capabilities[2], bit(CAP_SYS_TIME));
    EXPECT_EQ(held.capabilities[3], 0U);
    EXPECT_EQ(held.capabilities[4], 0U);
    EXPECT_TRUE(held.no_new_privileges);
}

TEST(SetterProcess, OfDevicesHoldsNoCapability) {
    const Scratch scratch;
    const UniqueFd devices = scratch.directory("devices");
    const std::string path = scratch.path("devices");
    const Credentials held = credentials_of_setter({.devices = path.c_str()});
    for (const std::uint64_t set : held.capabilities) EXPECT_EQ(set, 0U);
    EXPECT_TRUE(held.no_new_privileges);
}

TEST(SetterProcess, OfDevicesWritesBeneathTheirDirectoryOnly) {
    const Scratch scratch;
    const UniqueFd devices = scratch.directory("devices");
    scratch.file("devices/online", "1");
    scratch.file("other", "x");
    const std::string path = scratch.path("devices");
    EXPECT_TRUE(in_child([&] {
                    if (const int failed = report(lockdown_setter({.devices = path.c_str()})); failed != 0)
                        return failed;
                    const UniqueFd file(::open((path + "/online").c_str(), O_RDWR | O_CLOEXEC));
                    if (!file.is_open() || ::pwrite(file.get(), "0", 1, 0) != 1) return 21;
                    for (const int flags : {O_RDONLY, O_RDWR}) {
                        const UniqueFd other(::open(scratch.path("other").c_str(), flags | O_CLOEXEC));
                        if (other.is_open() || errno != EACCES) return 22;
                    }
                    return 0;
                }).exited());
}

TEST(ConfinedProgram, ChangesFilesBeneathItsTreesOnly) {
    const Scratch scratch;
    const UniqueFd may = scratch.directory("may");
    scratch.file("may/old", "x");
    scratch.file("other", "x");
    EXPECT_TRUE(
        in_child([&] {
            const std::array<int, 1> trees{may.get()};
            if (const int failed = report(confine_program(trees)); failed != 0) return failed;
            const auto opens = [](const std::string& path, int flags) {
                return UniqueFd(::open(path.c_str(), flags | O_CLOEXEC, 0600)).is_open();
            };
            if (!opens(scratch.path("may/new"), O_WRONLY | O_CREAT) ||
                !opens(scratch.path("may/old"), O_WRONLY | O_TRUNC) || !opens("/dev/null", O_WRONLY) ||
                !opens(scratch.path("other"), O_RDONLY))
                return 21;
            if (opens(scratch.path("new"), O_WRONLY | O_CREAT) || opens(scratch.path("other"), O_WRONLY))
                return 22;
            const std::string inside = scratch.path("may/old");
            return ::rename(inside.c_str(), scratch.path("out").c_str()) != 0 &&
                           ::unlink(scratch.path("other").c_str()) != 0 && ::unlink(inside.c_str()) == 0
                       ? 0
                       : 23;
        }).exited());
}

TEST(ConfinedProgram, EmptiesNoFileElsewhereFromLandlock3On) {
    const Scratch scratch;
    const UniqueFd may = scratch.directory("may");
    scratch.file("other", "x");
    EXPECT_TRUE(in_child([&] {
                    const std::array<int, 1> trees{may.get()};
                    if (const int failed = report(confine_program(trees)); failed != 0) return failed;
                    const bool empties = ::truncate(scratch.path("other").c_str(), 0) == 0;
                    return empties == (*landlock::version() < 3) ? 0 : 21;
                }).exited());
}

TEST(ConfinedProgram, GetsNoCapabilityBackByExecuting) {
    EXPECT_TRUE(in_child([] {
                    if (const int failed = report(confine_program({})); failed != 0) return failed;
                    ::execl("/bin/sh", "sh", "-c", "grep -q '^CapEff:.0000000000000000$' /proc/self/status",
                            nullptr);
                    return 24;
                }).exited());
}

}  // namespace
}  // namespace sallyport::sandbox::testing
