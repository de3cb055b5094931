// /proc that hides processes: the agent starts, and its proof before READY still is one.
#include <gtest/gtest.h>
#include <sys/prctl.h>

#include <filesystem>

#include "tests/support/agent.hpp"
#include "tests/support/cases.hpp"
#include "tests/support/hidden_proc.hpp"

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

/// Hides it, then drops what the shipped unit does not give.
void hide_processes(const char* options) {
    hide_proc(options);
    // CAP_SYS_PTRACE, which sees through hidepid, is not among them.
    constexpr std::array kOfTheUnit{1, 2, 5, 6, 7, 8, 14, 21, 22};
    for (int one = 0; ::prctl(PR_CAPBSET_READ, one, 0, 0, 0) >= 0; ++one)
        if (std::ranges::find(kOfTheUnit, one) == kOfTheUnit.end()) ::prctl(PR_CAPBSET_DROP, one, 0, 0, 0);
}

class HiddenProc : public testing::TestWithParam<Proc> {
protected:
    static AgentOptions options() {
        return {.policy = kPolicy,
                .environment = {said_boot()},
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

// The shipped unit's, under a policy that needs nothing more.
AgentOptions with_mark(const std::string& of) {
    return {.prepare = [of](const Scratch& scratch) { scratch.write("state/sallyport.frozen", of, 0600); },
            .environment = {said_boot()},
            .before_exec = [] { hide_processes("subset=pid"); }};
}

TEST(MarkWhereProcIsHidden, OfThisBootHasTheAgentStartWithAGuardThatThaws) {
    Agent agent(with_mark(boot_id()));
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    EXPECT_TRUE(
        std::ranges::any_of(agent.processes(), [](pid_t one) { return name_of(one) == "sallyport-guard"; }));
    EXPECT_EQ(agent.stop(), 0);
}

TEST(MarkWhereProcIsHidden, OfAnotherBootIsNone) {
    Agent agent(with_mark(other_boot()));
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    EXPECT_FALSE(
        std::ranges::any_of(agent.processes(), [](pid_t one) { return name_of(one) == "sallyport-guard"; }));
    EXPECT_EQ(agent.stop(), 0);
}

Finished thaw_after_the_service(const Scratch& scratch, const std::string& word) {
    return run({.words = {build_root() + "/broker/guard/guard", "thaw", scratch.path()},
                .environment = {word},
                .output = {},
                .before_exec = [] { hide_proc("subset=pid"); }});
}

TEST(MarkWhereProcIsHidden, OfThisBootIsThawedAndTakenBackAfterTheService) {
    const Scratch scratch;
    scratch.write("sallyport.frozen", boot_id());
    const Finished ended = thaw_after_the_service(scratch, said_boot());
    EXPECT_EQ(ended.ending, 0) << ended.error;
    EXPECT_TRUE(ended.error.starts_with("guard: thawed ")) << ended.error;
    EXPECT_EQ(read_file(scratch.path("sallyport.frozen")), std::string(boot_id().size(), ' '));
}

TEST(MarkWhereProcIsHidden, OfAnotherBootStaysAfterTheService) {
    const Scratch scratch;
    scratch.write("sallyport.frozen", other_boot());
    const Finished ended = thaw_after_the_service(scratch, said_boot());
    EXPECT_EQ(ended.ending, 0);
    EXPECT_EQ(ended.error, "");
    EXPECT_EQ(read_file(scratch.path("sallyport.frozen")), other_boot());
}

TEST(MarkWhereProcIsHidden, IsAnErrorAfterTheServiceIfNobodySaysWhichBootThisIs) {
    const Scratch scratch;
    scratch.write("sallyport.frozen", boot_id());
    const std::string digits(32, '0');
    for (const std::string& word :
         {std::string("OTHER=1"), std::string("SALLYPORT_BOOT="), "SALLYPORT_BOOT=" + boot_id(),
          "SALLYPORT_BOOT=" + digits + "0", "SALLYPORT_BOOT=" + digits.substr(1) + "F",
          "SALLYPORT_BOOT=" + digits.substr(1)}) {
        const Finished ended = thaw_after_the_service(scratch, word);
        EXPECT_EQ(ended.ending, 1) << word;
        EXPECT_EQ(ended.error,
                  "guard: /proc does not show which boot this is, and the unit does not say it "
                  "(Environment=SALLYPORT_BOOT=%b)\n")
            << word;
    }
}

}  // namespace
}  // namespace sallyport::test
