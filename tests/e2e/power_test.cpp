// guest-shutdown and guest-suspend-* with stand-ins for the programs: what is started, in which order, and what the host
// is told. Runs where the machine's own power cannot be reached.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/no_power.hpp"
#include "tests/support/process.hpp"

namespace sallyport::test {
namespace {

using namespace std::string_literals;

const std::string kPong = "{\"return\": {}}";
const std::string kUnsupported = error_line("the requested suspend mode is not supported by the guest");

std::string policy(std::string_view more = "") {
    return "schema = 1\n[[allow]]\nid = \"power\"\ncommands = [\"@power\"]\n"
           "modes = [\"halt\", \"powerdown\", \"reboot\"]\n" +
           std::string(more);
}

std::string shutdown(std::string_view mode = "") {
    return mode.empty() ? command("guest-shutdown")
                        : command("guest-shutdown", members({{"mode", in_quotes(mode)}}));
}

class Power : public testing::Test {
protected:
    NoPower tools_;

    // Asks for what has no reply on success, and waits until it is over.
    static void succeed(Agent& agent, HostClient& host, const std::string& request) {
        const std::size_t before = agent.count_audit("what", "launch-ended");
        host.send(request);
        EXPECT_TRUE(eventually([&] { return agent.count_audit("what", "launch-ended") == before + 1; }));
        EXPECT_EQ(host.ask(command("guest-ping")), kPong) << "success has no reply";
    }
    static pid_t launcher(Agent& agent) {
        for (const pid_t child : children_of(agent.broker().pid()))
            if (name_of(child) == "sallyport-launcher") return child;
        return -1;
    }
};

TEST_F(Power, ShutdownAsksSystemdForEachModeAndSaysNothing) {
    Agent agent({.policy = policy()});
    HostClient host = agent.connect();
    for (const char* mode : {"", "powerdown", "halt", "reboot"}) succeed(agent, host, shutdown(mode));
    EXPECT_EQ(tools_.calls(), "poweroff\npoweroff\nhalt\nreboot\n");
    EXPECT_EQ(agent.stop(), 0);
}

TEST_F(Power, RequestIsInTheAuditLogBeforeAnythingIsStarted) {
    Agent agent({.policy = policy()});
    HostClient host = agent.connect();
    tools_.put("/usr/bin/systemctl", "cp " + agent.audit_file() + " " + agent.scratch().path("seen") + "\n");
    succeed(agent, host, shutdown());
    const auto seen = audit_records(agent.scratch().path("seen"));
    ASSERT_FALSE(seen.empty());
    EXPECT_EQ(text_of(seen.back(), "what"), "guest-shutdown");
    EXPECT_EQ(text_of(seen.back(), "verdict"), "allow");
}

TEST_F(Power, ThatCannotBeBroughtToTheDiskIsNotCarriedOut) {
    Agent agent({.policy = policy()});
    HostClient host = agent.connect();
    ASSERT_EQ(host.ask(command("guest-ping")), kPong);
    const auto both = recorders_of(agent.state());
    ASSERT_EQ(both.size(), 2U);
    for (const pid_t process : both) send_signal(process, SIGSTOP);
    EXPECT_EQ(host.ask(shutdown()), error_line("child process has failed to shutdown: Input/output error"));
    EXPECT_EQ(host.ask(shutdown()),
              error_line("child process has failed to shutdown: the guest's audit log cannot be written"));
    EXPECT_EQ(tools_.calls(), "");
    for (const pid_t process : both) send_signal(process, SIGCONT);
    EXPECT_EQ(agent.count_audit("what", "launch-ended"), 1U);
    succeed(agent, host, shutdown());
    EXPECT_EQ(tools_.calls(), "poweroff\n");
}

TEST_F(Power, ThatCannotBeBroughtToTheDiskIsCarriedOutIfThePolicySaysGoOn) {
    Agent agent({.policy = policy("[audit]\non_loss = \"go on\"\n")});
    HostClient host = agent.connect();
    ASSERT_EQ(host.ask(command("guest-ping")), kPong);
    const auto both = recorders_of(agent.state());
    for (const pid_t process : both) send_signal(process, SIGSTOP);
    host.send(shutdown());
    EXPECT_TRUE(eventually([&] { return tools_.calls() == "poweroff\n"; }));
    for (const pid_t process : both) send_signal(process, SIGCONT);
}

TEST_F(Power, ModeThatThePolicyLeavesOutIsRefusedAndNothingIsStarted) {
    Agent agent({.policy = "schema = 1\n[[allow]]\nid = \"d\"\ncommands = [\"guest-shutdown\"]\n"
                           "modes = [\"powerdown\"]\n"});
    HostClient host = agent.connect();
    const std::string reply = host.ask(shutdown("reboot"));
    EXPECT_EQ(class_of(reply), "GenericError");
    EXPECT_TRUE(
        desc_of(reply).starts_with("child process has failed to shutdown: Operation not permitted (denial "));
    EXPECT_EQ(host.ask(shutdown("sideways")),
              error_line("mode is invalid (valid values are: halt|powerdown|reboot"));
    EXPECT_EQ(class_of(host.ask(command("guest-suspend-ram"))), "CommandNotFound");
    EXPECT_EQ(tools_.calls(), "");
    EXPECT_EQ(agent.count_audit("what", "launch-ended"), 0U);
}

TEST_F(Power, DeniedModeWinsOverAnAllowRule) {
    Agent agent(
        {.policy = policy("[[deny]]\nid = \"no\"\ncommands = [\"guest-shutdown\"]\nmodes = [\"halt\"]\n")});
    HostClient host = agent.connect();
    EXPECT_NE(desc_of(host.ask(shutdown("halt"))), "");
    succeed(agent, host, shutdown("reboot"));
    EXPECT_EQ(tools_.calls(), "reboot\n");
}

TEST_F(Power, FailureTellsTheHostTheStatusAndTheAdminTheOutput) {
    tools_.put("/usr/bin/systemctl", "echo the disk is busy; exit 5\n");
    Agent agent({.policy = policy()});
    HostClient host = agent.connect();
    EXPECT_EQ(host.ask(shutdown()), error_line("child process has failed to shutdown: exit status 5"));
    EXPECT_NE(read_file(agent.audit_file()).find("the disk is busy"), std::string::npos);
    tools_.put("/usr/bin/systemctl", "kill -9 $$\n");
    EXPECT_EQ(host.ask(shutdown()), error_line("child process has terminated abnormally"));
}

TEST_F(Power, ShutdownThatSystemdRefusesIsNotTriedInAnotherWay) {
    tools_.put("/usr/bin/systemctl", "exit 1\n");
    tools_.put("/usr/sbin/shutdown", "");
    Agent agent({.policy = policy()});
    HostClient host = agent.connect();
    EXPECT_EQ(host.ask(shutdown()), error_line("child process has failed to shutdown: exit status 1"));
    EXPECT_EQ(tools_.calls(), "poweroff\n");
}

TEST_F(Power, WithoutSystemdTheInitIsAskedInQemuGasWords) {
    tools_.without_systemd();
    tools_.put("/usr/sbin/shutdown", "");
    Agent agent({.policy = policy()});
    HostClient host = agent.connect();
    for (const char* mode : {"powerdown", "halt", "reboot"}) succeed(agent, host, shutdown(mode));
    EXPECT_EQ(
        tools_.calls(),
        "shutdown -h -P +0 hypervisor initiated shutdown\nshutdown -h -H +0 hypervisor initiated shutdown\n"
        "shutdown -h -r +0 hypervisor initiated shutdown\n");
}

TEST_F(Power, WithoutShutdownTheProgramOfTheModeIsStarted) {
    tools_.without_systemd();
    tools_.put("/usr/sbin/poweroff", "");
    Agent agent({.policy = policy()});
    HostClient host = agent.connect();
    succeed(agent, host, shutdown());
    EXPECT_EQ(tools_.calls(), "poweroff \n");
}

TEST_F(Power, MethodOfTheRuleLeavesNoOther) {
    tools_.put("/usr/sbin/shutdown", "");
    Agent agent({.policy = policy("method = \"init\"\n")});
    HostClient host = agent.connect();
    succeed(agent, host, shutdown("reboot"));
    EXPECT_EQ(tools_.calls(), "shutdown -h -r +0 hypervisor initiated shutdown\n");
    tools_.take_away("/usr/sbin/shutdown");
    EXPECT_EQ(host.ask(shutdown("reboot")),
              error_line("child process has failed to shutdown: Operation not supported"));
}

// The kernel's own: in a pid namespace reboot(2) ends that namespace, by SIGINT to power off and by SIGHUP to restart.
TEST_F(Power, WithoutAnyInitTheKernelIsAsked) {
    tools_.without_systemd();
    tools_.take_away("/usr/bin/systemctl");
    struct Case {
        const char* mode;
        int signal;
    };
    for (const auto& [mode, signal] :
         {Case{"powerdown", SIGINT}, Case{"halt", SIGINT}, Case{"reboot", SIGHUP}}) {
        const Scratch scratch;
        scratch.write("policy.toml", policy());
        scratch.make_folder("state", 0700);
        Child child(
            {.words = {"/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                       build_root() + "/broker/sallyportd", "-m", "unix-listen", "-p", scratch.path("s"),
                       "--policy", scratch.path("policy.toml"), "-t", scratch.path("state")},
             .environment = {"QGA_CONF=/nonexistent"},
             .output = scratch.path("messages")});
        HostClient host(scratch.path("s"));
        ASSERT_EQ(host.ask(command("guest-ping")), kPong);
        host.send(shutdown(mode));
        EXPECT_EQ(child.wait(), -signal) << mode;
    }
}

struct Suspend {
    const char* command;
    const char* verb;
    const char* unit;
};
constexpr Suspend kSuspends[] = {{"guest-suspend-ram", "suspend", "systemd-suspend"},
                                 {"guest-suspend-disk", "hibernate", "systemd-hibernate"},
                                 {"guest-suspend-hybrid", "hybrid-sleep", "systemd-hybrid-sleep"}};

TEST_F(Power, SuspendProbesTheUnitAndThenAsksSystemd) {
    for (const int status : {1, 2, 3}) {
        tools_.put("/usr/bin/systemctl", "[ \"$1\" != status ] || exit " + std::to_string(status) + "\n");
        Agent agent({.policy = policy()});
        HostClient host = agent.connect();
        for (const auto& [name, verb, unit] : kSuspends) {
            const std::string before = tools_.calls();
            succeed(agent, host, command(name));
            EXPECT_EQ(tools_.calls(), before + "status " + unit + "\n" + verb + "\n");
        }
    }
}

TEST_F(Power, SuspendThatNothingSupportsIsToldAndNothingIsTried) {
    for (const int status : {0, 4, 5}) {
        tools_.put("/usr/bin/systemctl", "[ \"$1\" != status ] || exit " + std::to_string(status) + "\n");
        tools_.offer_states("freeze standby\n");
        Agent agent({.policy = policy()});
        HostClient host = agent.connect();
        for (const Suspend& suspend : kSuspends)
            EXPECT_EQ(host.ask(command(suspend.command)) + "\n", kUnsupported + "\n");
        EXPECT_EQ(tools_.calls().find("suspend\n", 0), tools_.calls().find("systemd-suspend\n") + 8);
    }
}

TEST_F(Power, NextStrategyFollowsOneThatFails) {
    tools_.put("/usr/bin/systemctl", "[ \"$1\" != status ] || exit 3\nexit 1\n");
    tools_.put("/usr/bin/pm-is-supported", "");
    tools_.put("/usr/sbin/pm-suspend", "exit 7\n");
    tools_.offer_states("mem disk\n");
    Agent agent({.policy = policy()});
    HostClient host = agent.connect();
    succeed(agent, host, command("guest-suspend-ram"));
    EXPECT_EQ(tools_.calls(), "status systemd-suspend\nsuspend\npm-is-supported --suspend\npm-suspend \n");
    EXPECT_TRUE(read_file("/sys/power/state").starts_with("mem"));
}

TEST_F(Power, LastFailureIsTheOneThatTheHostHears) {
    tools_.put("/usr/bin/systemctl", "[ \"$1\" != status ] || exit 3\nexit 1\n");
    Agent agent({.policy = policy()});
    HostClient host = agent.connect();
    EXPECT_EQ(
        host.ask(command("guest-suspend-disk")),
        error_line("the helper program 'systemctl hibernate' returned an unexpected exit status code (1)"));
    tools_.put("/usr/bin/pm-is-supported", "");
    tools_.put("/usr/sbin/pm-hibernate", "exit 9\n");
    EXPECT_EQ(host.ask(command("guest-suspend-disk")),
              error_line("the helper program 'pm-hibernate' returned an unexpected exit status code (9)"));
}

TEST_F(Power, KernelWritesTheWordWhereNoToolIs) {
    tools_.without_systemd();
    tools_.offer_states("freeze mem disk\n");
    Agent agent({.policy = policy()});
    HostClient host = agent.connect();
    succeed(agent, host, command("guest-suspend-disk"));
    EXPECT_TRUE(read_file("/sys/power/state").starts_with("disk"));
    EXPECT_EQ(host.ask(command("guest-suspend-hybrid")) + "\n", kUnsupported + "\n");
    EXPECT_EQ(tools_.calls(), "");
}

TEST_F(Power, ProgramsHaveACleanEnvironmentAndNothingOfTheAgents) {
    tools_.put("/usr/bin/systemctl",
               "env | sort; pwd; umask; ls /proc/$$/fd | wc -l; grep -E 'Seccomp:|NoNewPrivs' "
               "/proc/$$/status; grep CapEff /proc/$$/status; exit 6\n");
    Agent agent({.policy = policy(), .environment = {"LD_PRELOAD=/nonexistent", "SECRET=1"}});
    HostClient host = agent.connect();
    host.ask(shutdown());
    const std::string log = read_file(agent.audit_file());
    const std::string own = "CapEff:\\u0009" + status_field(::getpid(), "CapEff");
    EXPECT_EQ(log.find("SECRET"), std::string::npos);
    EXPECT_EQ(log.find("LD_PRELOAD"), std::string::npos);
    EXPECT_NE(log.find("LC_ALL=C"), std::string::npos);
    EXPECT_NE(log.find("\\u000a/\\u000a0022\\u000a"), std::string::npos) << log;
    EXPECT_NE(log.find("NoNewPrivs:\\u00090"), std::string::npos) << log;
    EXPECT_NE(log.find(own), std::string::npos) << log;
}

TEST_F(Power, ProgramThatOthersCanWriteStopsTheStartAndIsNeverStarted) {
    {
        tools_.put("/usr/bin/systemctl", "", 0775);
        Agent agent({.policy = policy()});
        EXPECT_FALSE(agent.is_serving());
        EXPECT_NE(agent.messages().find("can be written by others"), std::string::npos) << agent.messages();
    }
    tools_.put("/usr/bin/systemctl", "");
    Agent agent({.policy = policy()});
    HostClient host = agent.connect();
    ASSERT_EQ(host.ask(command("guest-ping")), kPong);
    tools_.put("/usr/bin/systemctl", "", 0777);
    EXPECT_EQ(host.ask(shutdown()),
              error_line("child process has failed to shutdown: Operation not permitted"));
    EXPECT_EQ(tools_.calls(), "");
}

TEST_F(Power, HostIsAnsweredWhileAProgramRuns) {
    tools_.block();
    Agent agent({.policy = policy()});
    HostClient host = agent.connect();
    host.send(shutdown());
    ASSERT_TRUE(eventually([&] { return tools_.calls() == "poweroff\n"; }));
    EXPECT_EQ(host.ask(command("guest-sync", "{\"id\":5}")),
              error_line("the agent has given up waiting for this request"));
    EXPECT_EQ(host.line(), "{\"return\": 5}");
    EXPECT_EQ(desc_of(host.ask(shutdown("halt"))), "the agent is busy with an earlier request");
    tools_.release();
    EXPECT_TRUE(eventually([&] { return agent.count_audit("what", "launch-ended") == 1; }));
    EXPECT_TRUE(eventually([&] { return host.ask(command("guest-ping")) == kPong; }));
    EXPECT_EQ(tools_.calls(), "poweroff\n");
}

TEST_F(Power, LauncherHoldsTwoCapabilitiesAndIsThereOnlyIfNeeded) {
    Agent agent({.policy = policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    EXPECT_EQ(status_field(launcher(agent), "CapEff"), "0000000000400020");
    EXPECT_EQ(status_field(agent.broker().pid(), "CapEff"), "0000000000000000");
    Agent without({.policy = "schema = 1\n"});
    ASSERT_TRUE(without.is_serving());
    EXPECT_EQ(launcher(without), -1);
}

TEST_F(Power, LauncherWithoutAKernelRowCannotEndTheMachine) {
    Agent agent({.policy = policy("method = \"systemd\"\n")});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    EXPECT_EQ(status_field(launcher(agent), "CapEff"), "0000000000000020");
}

TEST_F(Power, OptionThatTakesTheCommandsAwayTakesTheLauncherAway) {
    Agent agent(
        {.policy = policy(),
         .words = {"-b", "guest-shutdown,guest-suspend-ram,guest-suspend-disk,guest-suspend-hybrid"}});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    EXPECT_EQ(launcher(agent), -1);
    HostClient host = agent.connect();
    EXPECT_EQ(class_of(host.ask(shutdown())), "CommandNotFound");
}

TEST_F(Power, KilledLauncherEndsTheAgentForItsServiceManager) {
    Agent agent({.policy = policy()});
    ASSERT_TRUE(agent.is_serving());
    const pid_t victim = launcher(agent);
    ASSERT_GT(victim, 0);
    send_signal(victim, SIGKILL);
    EXPECT_EQ(agent.broker().wait(), 1);
    EXPECT_EQ(agent.count_audit("reason", "the launcher is lost"), 1U);
    agent.restart();
    HostClient host = agent.connect();
    EXPECT_EQ(host.ask(command("guest-ping")), kPong);
}

TEST_F(Power, OrdinaryUserAsksAsHimself) {
    tools_.put("/usr/bin/systemctl", "id -u; exit 3\n");
    Agent agent({.policy = policy(), .user = 12345});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(host.ask(shutdown()), error_line("child process has failed to shutdown: exit status 3"));
    EXPECT_NE(read_file(agent.audit_file()).find("12345"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::test
