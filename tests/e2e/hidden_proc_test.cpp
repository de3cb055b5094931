// /proc that hides processes: the agent starts, and its proof before READY still is one.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/agent.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

// Every process of the agent runs.
constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "power"
commands = ["guest-shutdown"]
modes = ["powerdown"]
[[allow]]
id = "freeze"
commands = ["@freeze"]
freeze = { mounts = ["/nonexistent"] }
[[allow]]
id = "look"
commands = ["@inspect"]
[[allow]]
id = "files"
commands = ["@file"]
files = [{ under = "/nonexistent", access = ["read"] }]
)";

struct Proc {
    const char* name;
    const char* options;
};

const Proc kProcs[] = {
    {"Shown", "hidepid=0"},
    {"NoAccess", "hidepid=1"},
    {"NoAccessButForAGroup", "hidepid=1,gid=993"},
    {"Invisible", "hidepid=2"},
    {"InvisibleButForAGroup", "hidepid=2,gid=993"},
    {"Traceable", "hidepid=4"},
    {"TraceableOrOfAGroup", "hidepid=4,gid=993"},
    {"ProcessesOnly", "subset=pid"},
    {"ProcessesOnlyAndInvisible", "subset=pid,hidepid=2"},
    {"ProcessesOnlyAndTraceable", "subset=pid,hidepid=4,gid=993"},
};

/// Mounts /proc with `options` in a mount namespace of its own, then drops what the shipped unit does not give.
void hide_processes(const char* options) {
    const bool is_mounted = ::unshare(CLONE_NEWNS) == 0 &&
                            ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                            ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) == 0;
    if (!is_mounted) ::_exit(122);
    // CAP_SYS_PTRACE, which sees through hidepid, is not among them.
    constexpr std::array kOfTheUnit{1, 2, 5, 6, 7, 8, 14, 21, 22};
    for (int one = 0; ::prctl(PR_CAPBSET_READ, one, 0, 0, 0) >= 0; ++one)
        if (std::ranges::find(kOfTheUnit, one) == kOfTheUnit.end()) ::prctl(PR_CAPBSET_DROP, one, 0, 0, 0);
}

class HiddenProc : public testing::TestWithParam<Proc> {
protected:
    static AgentOptions options() {
        return {.policy = kPolicy,
                .before_exec = [options = GetParam().options] { hide_processes(options); }};
    }
};

TEST_P(HiddenProc, AgentStartsAndAnswers) {
    Agent agent(options());
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    EXPECT_EQ(agent.connect().ask(command("guest-ping")), "{\"return\": {}}");
    EXPECT_EQ(agent.connect().ask(command("guest-fsfreeze-status")), "{\"return\": \"thawed\"}");
    for (const char* name : {"sallyport-nursery", "sallyport-guard", "sallyport-launcher",
                             "sallyport-inspector", "sallyport-files"})
        EXPECT_TRUE(std::ranges::any_of(agent.processes(), [&](pid_t one) { return name_of(one) == name; }))
            << name;
    EXPECT_EQ(agent.stop(), 0);
}

struct Unconfined {
    const char* place;
    const char* message;
};

TEST_P(HiddenProc, ProcessThatIsNotConfinedEndsTheStart) {
    for (const Unconfined& one :
         {Unconfined{"worker/worker", "worker: user id"},
          Unconfined{"inspector/inspector", "inspector: user id"},
          Unconfined{"broker/guard/guard", "guard: permitted capabilities"},
          Unconfined{"broker/files/files", "files: permitted capabilities"},
          Unconfined{"broker/launcher/launcher", "launcher: permitted capabilities"},
          Unconfined{"broker/recorder/recorder", "recorder: permitted capabilities"}}) {
        AgentOptions changed = options();
        const Scratch programs;
        copy_programs(build_root(), programs, "", {one.place, "tests/e2e/unconfined"});
        changed.root = programs.path();
        Agent agent(changed);
        EXPECT_EQ(agent.broker().wait(), 1) << one.place;
        EXPECT_NE(agent.messages().find(one.message), std::string::npos) << one.place << "\n"
                                                                         << agent.messages();
    }
}

TEST_P(HiddenProc, AgentOfAnOrdinaryUserStartsToo) {
    AgentOptions ordinary = options();
    ordinary.policy =
        "schema = 1\n[[allow]]\nid = \"look\"\ncommands = [\"@inspect\", \"guest-shutdown\"]\nmodes = "
        "[\"halt\"]\n[[allow]]\nid = \"files\"\ncommands = [\"@file\"]\nfiles = [{ under = \"/nonexistent\", "
        "access = [\"read\"] }]\n";
    ordinary.user = 12345;
    Agent agent(ordinary);
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    EXPECT_EQ(agent.stop(), 0);
}

INSTANTIATE_TEST_SUITE_P(, HiddenProc, testing::ValuesIn(kProcs), case_name<Proc>);

}  // namespace
}  // namespace sallyport::test
