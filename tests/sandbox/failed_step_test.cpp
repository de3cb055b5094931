// What happens when a step of a lockdown fails, and when a process breaks a promise of its own.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sandbox/lockdown.hpp"
#include "sandbox/syscalls.hpp"
#include "tests/sandbox/confined.hpp"

namespace sallyport::sandbox::testing {
namespace {

// Each step may fail, on another kernel or under another limit: then the lockdown says so.

struct Step {
    const char* name;
    int call;
    std::int64_t option;  // the first argument, or -1 for any
    unsigned at = 0;      // or this one
};

constexpr std::int64_t kNoPrograms = MS_NOSUID | MS_NODEV | MS_NOEXEC;

void PrintTo(const Step& step, std::ostream* out) {
    *out << step.name;
}

class FailedStep : public ::testing::TestWithParam<Step> {};

INSTANTIATE_TEST_SUITE_P(
    , FailedStep,
    ::testing::Values(Step{"LockedMemory", SCMP_SYS(mlockall), -1},
                      Step{"EndsWithItsParent", SCMP_SYS(prctl), PR_SET_PDEATHSIG},
                      Step{"Limits", SCMP_SYS(prlimit64), -1}, Step{"Capabilities", SCMP_SYS(capset), -1},
                      Step{"NoNewPrivileges", SCMP_SYS(prctl), PR_SET_NO_NEW_PRIVS},
                      Step{"NotDumpable", SCMP_SYS(prctl), PR_SET_DUMPABLE},
                      Step{"Group", SCMP_SYS(setresgid), -1}, Step{"User", SCMP_SYS(setresuid), -1},
                      Step{"MountsOfItsOwn", SCMP_SYS(mount), MS_REC | MS_PRIVATE, 3},
                      Step{"NewRoot", SCMP_SYS(mount), kNoPrograms, 3},
                      Step{"WayToTheRoot", SCMP_SYS(chdir), -1}, Step{"Root", SCMP_SYS(pivot_root), -1},
                      Step{"OldRoot", SCMP_SYS(umount2), -1},
                      Step{"ReadOnlyRoot", SCMP_SYS(mount), MS_REMOUNT | MS_RDONLY | kNoPrograms, 3},
                      Step{"LandlockRules", SCMP_SYS(landlock_create_ruleset), -1},
                      Step{"Landlock", SCMP_SYS(landlock_restrict_self), -1},
                      Step{"Filter", SCMP_SYS(seccomp), -1}),
    [](const auto& step) { return std::string(step.param.name); });

// Makes the kernel answer ENOSYS to the call of a step.
bool make_fail(const Step& step) {
    const std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ALLOW),
                                                                   seccomp_release);
    const scmp_arg_cmp option{
        .arg = step.at, .op = SCMP_CMP_EQ, .datum_a = static_cast<scmp_datum_t>(step.option), .datum_b = 0};
    return seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(ENOSYS), step.call, step.option < 0 ? 0 : 1,
                                  &option) == 0 &&
           seccomp_load(filter.get()) == 0;
}

// New user and mount namespaces in which this user is all that there is, as a nursery begins.
bool begin_as_nursery() {
    const std::string uid = std::to_string(::geteuid());
    const std::string gid = std::to_string(::getegid());
    const auto write = [](const char* name, const std::string& text) {
        const UniqueFd file(::open(name, O_WRONLY | O_CLOEXEC));
        return ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    };
    return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write("/proc/self/setgroups", "deny") &&
           write("/proc/self/uid_map", uid + " " + uid + " 1\n") &&
           write("/proc/self/gid_map", gid + " " + gid + " 1\n");
}

struct Lockdown {
    const char* of;
    std::set<std::string> steps;
    std::function<Status()> lockdown;
    std::function<bool()> begin = [] { return true; };
};

using Steps = std::set<std::string>;

Steps with(Steps some, const Steps& others) {
    some.insert(others.begin(), others.end());
    return some;
}

TEST_P(FailedStep, EndsTheLockdown) {
    const Scratch scratch;
    const UniqueFd state = scratch.directory("state");
    const UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    const UniqueFd sys(::open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC));
    const UniqueFd executable(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
    const std::string step = GetParam().name;
    const Steps all{"Limits",        "Capabilities", "NoNewPrivileges", "NotDumpable",
                    "LandlockRules", "Landlock",     "Filter"};
    const Steps mortal = with(all, {"EndsWithItsParent"});
    const Steps unprivileged = with(mortal, {"Group", "User"});
    const Steps rootless =
        with(unprivileged, {"MountsOfItsOwn", "NewRoot", "WayToTheRoot", "Root", "OldRoot", "ReadOnlyRoot"});
    // Of an ordinary user nothing is locked.
    const Steps guards = with(all, ::geteuid() == 0 ? Steps{"LockedMemory"} : Steps{});
    const auto compiled = Filter::compile(Process::kWorker, {});
    ASSERT_TRUE(compiled);
    const std::vector<Lockdown> lockdowns{
        {"broker", all, [] { return lockdown_broker({}); }},
        {"compiler", all, [] { return lockdown_compiler(); }},
        {"nursery", rootless, [&] { return lockdown_nursery(::geteuid(), ::getegid(), executable, {}); },
         begin_as_nursery},
        {"worker",
         {"Limits", "NotDumpable", "LandlockRules", "Landlock", "Filter"},
         [&] { return lockdown_worker(*compiled); }},
        {"files", mortal, [&] { return lockdown_files({}, state); }},
        {"clerk", {"EndsWithItsParent", "Filter"}, [&] { return lockdown_clerk(::getppid(), *compiled); }},
        {"guard", guards, [&] { return lockdown_guard(root, sys); }},
        {"planner",
         {"Capabilities", "NoNewPrivileges", "LandlockRules", "Landlock", "Filter"},
         [&] { return lockdown_planner(sys, *compiled); }},
        {"launcher",
         {"Capabilities", "NotDumpable"},
         [] { return lockdown_launcher({.asks_kernel = true}); }},
        {"supervisor",
         {"Capabilities", "NoNewPrivileges", "LandlockRules", "Landlock"},
         [] { return lockdown_supervisor(); }},
        {"program with confine",
         {"Capabilities", "NoNewPrivileges", "LandlockRules", "Landlock"},
         [&] { return confine_program(std::array{state.get()}); }},
        {"setter", all, [] { return lockdown_setter({.sets_clock = true}); }},
        {"recorder", all, [&] { return lockdown_recorder(state); }},
        {"inspector", unprivileged, [] { return lockdown_inspector(::geteuid(), ::getegid(), {}); },
         begin_as_nursery},
        {"inspector's child",
         {"LandlockRules", "Landlock", "Filter"},
         [&] { return lockdown_inspector_child({}, *compiled); }},
    };
    for (const Lockdown& one : lockdowns) {
        if (!one.steps.contains(step)) continue;
        const Ended ended = in_child([&] {
            if (!one.begin() || !make_fail(GetParam())) return 100;
            const auto locked = one.lockdown();
            return !locked && locked.error().code == Errc::kSystem && locked.error().sys_errno == ENOSYS ? 0
                                                                                                         : 1;
        });
        EXPECT_TRUE(ended.exited()) << one.of << ": " << ended.code << " " << ended.status;
    }
}

// abort() is in no table.

TEST(BrokenPromise, OfItsOwnEndsAProcessBySigsys) {
    const Scratch scratch;
    const UniqueFd state = scratch.directory("state");
    const UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    const UniqueFd sys(::open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC));
    const std::vector<std::function<Status()>> lockdowns{
        [] { return lockdown_broker({}); },
        [&] { return lockdown_guard(root, sys); },
        [&] { return lockdown_recorder(state); },
        [&] { return lockdown_files({}, state); },
        []() -> Status { return lockdown_worker(TRY(filter_of_workers())); },
    };
    for (std::size_t at = 0; at < lockdowns.size(); ++at) {
        const Ended ended = in_child([&] {
            if (report(lockdowns[at]()) != 0) return 100;
            SALLYPORT_CHECK(lockdowns.empty());
            return 101;
        });
        EXPECT_TRUE(ended.killed_by_filter()) << at << ": " << ended.code << " " << ended.status;
    }
}

}  // namespace
}  // namespace sallyport::sandbox::testing
