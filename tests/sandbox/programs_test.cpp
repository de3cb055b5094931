// The launcher, a program's supervisor and a program with `confine`, each after its lockdown.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <string>

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
Result<Held> held_now() {
    const UniqueFd status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    return read_held(status);
}

TEST(LauncherCapabilities, FollowFromTheTable) {
    EXPECT_EQ(bits({}), bit(CAP_KILL));
    EXPECT_EQ(bits({.asks_kernel = true}), bit(CAP_KILL) | bit(CAP_SYS_BOOT));
    EXPECT_EQ(bits({.takes_users = true}), bit(CAP_KILL) | bit(CAP_SETUID) | bit(CAP_SETGID));
    EXPECT_EQ(bits({.cuts_network = true}), bit(CAP_KILL) | bit(CAP_SYS_ADMIN));
}

TEST(LauncherProcess, HoldsWhatItsTableNeedsAndNoMore) {
    EXPECT_TRUE(in_child([] {
                    const LauncherNeeds needs{.takes_users = true};
                    if (const int failed = report(lockdown_launcher(needs)); failed != 0) return failed;
                    const auto held = held_now();
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
                    const auto held = held_now();
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

TEST(ConfinedProgram, ChangesFilesBeneathItsTreesOnly) {
    const Scratch scratch;
    const UniqueFd may = scratch.directory("may");
    scratch.file("may/old", "x");
    scratch.file("other", "x");
    EXPECT_TRUE(in_child([&] {
                    const std::array<int, 1> trees{may.get()};
                    if (const int failed = report(confine_program(trees)); failed != 0) return failed;
                    const auto opens = [](const std::string& path, int flags) {
                        return UniqueFd(::open(path.c_str(), flags | O_CLOEXEC, 0600)).is_open();
                    };
                    if (!opens(scratch.path("may/new"), O_WRONLY | O_CREAT) ||
                        !opens(scratch.path("may/old"), O_WRONLY | O_TRUNC) ||
                        !opens("/dev/null", O_WRONLY) || !opens(scratch.path("other"), O_RDONLY))
                        return 21;
                    if (opens(scratch.path("new"), O_WRONLY | O_CREAT) ||
                        opens(scratch.path("other"), O_WRONLY) ||
                        ::truncate(scratch.path("other").c_str(), 0) == 0)
                        return 22;
                    const std::string inside = scratch.path("may/old");
                    return ::rename(inside.c_str(), scratch.path("out").c_str()) != 0 &&
                                   ::unlink(scratch.path("other").c_str()) != 0 &&
                                   ::unlink(inside.c_str()) == 0
                               ? 0
                               : 23;
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
