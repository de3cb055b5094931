// The tool as the broker starts it: by descriptors, confined, with its exit status and its words.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "policy/decide.hpp"
#include "policy/policy.pb.h"
#include "tests/support/scratch.hpp"
#include "tests/unit/policy/tool_run.hpp"

namespace sallyport::policy {
namespace {

const std::vector<std::string> kCompile{"compile",     "--input-fd",  "3", "--name",
                                        "/etc/p.toml", "--passwd-fd", "4", "--group-fd",
                                        "4",           "--output-fd", "5"};

TEST(ToolCompile, WritesWhatTheBrokerLoads) {
    const Outcome outcome = run(kCompile, "schema = 1\ninclude = \"profile:compat\"\n");
    EXPECT_EQ(outcome.status, 0) << outcome.errors;
    EXPECT_EQ(outcome.errors, "");
    const auto policy = load(outcome.result);
    ASSERT_TRUE(policy);
    EXPECT_TRUE(decide_command(*policy, CommandId::kFileOpen, 0).is_allowed());
}

TEST(ToolCompile, ResolvesNamesByTheDescriptorItIsGiven) {
    const Outcome outcome =
        run(kCompile, "schema = 1\n[peers]\nuids = [\"alice\"]\n", "alice:x:4711:1::/:/bin/sh\n");
    ASSERT_EQ(outcome.status, 0) << outcome.errors;
    EXPECT_EQ(load(outcome.result)->peer_uids, std::vector<std::uint32_t>{4711});
}

TEST(ToolCompile, SaysWhatIsWrongAndWritesNothing) {
    const Outcome outcome = run(kCompile, "schema = 1\n[[allow]]\nid = \"a\"\ncommands = [\"guest-pong\"]\n");
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.errors,
              "/etc/p.toml:4:13: error: unknown command 'guest-pong'; did you mean 'guest-ping'?\n");
    EXPECT_EQ(outcome.result, "");
}

TEST(Tool, MessageAboutAWordIsShortAndCannotCommandATerminal) {
    const std::string word = "\033]0;title\a" + std::string(100'000, 'x');
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {word}, {"--" + word}, {"check", "/" + word}, {"compile", "/x", word}}) {
        const Outcome outcome = run(words, "");
        EXPECT_NE(outcome.status, 0);
        EXPECT_NE(outcome.errors, "");
        EXPECT_LT(outcome.errors.size(), 600U) << outcome.errors.substr(0, 300);
        EXPECT_EQ(outcome.errors.find('\033'), std::string::npos);
    }
    EXPECT_GT(run({"--help"}, "").output.size(), 300U) << "help is not cut";
}

TEST(ToolCompile, SyntaxErrorIsReportedFromInsideTheSandbox) {
    const Outcome outcome = run(kCompile, "schema = \n");
    EXPECT_EQ(outcome.status, 1);
    EXPECT_TRUE(outcome.errors.starts_with("/etc/p.toml:1:10: error: ")) << outcome.errors;
}

TEST(ToolCompile, LargestPolicyFitsIntoTheSandbox) {
    std::string text = "schema = 1\n";
    for (int at = 0; at < 4000; ++at)
        text += "[[allow]]\nid = \"rule-" + std::to_string(at) +
                "\"\ncommands = [\"@file\"]\nfiles = [{ under = \"/srv/" + std::to_string(at) +
                "\", access = [\"read\", \"write\"], owner = [\"root\", 1000], max_size = \"1MiB\" }]\n";
    const Outcome outcome = run(kCompile, text);
    ASSERT_EQ(outcome.status, 0) << outcome.errors;
    EXPECT_EQ(load(outcome.result)->rules.size(), 4000U);
}

TEST(ToolCompile, DeepestNestingIsAnErrorAndNoCrash) {
    const Outcome outcome = run(kCompile, "schema = 1\nallow = " + std::string(500'000, '['));
    EXPECT_EQ(outcome.status, 1);
    EXPECT_TRUE(outcome.errors.starts_with("/etc/p.toml:2:")) << outcome.errors;
}

TEST(ToolCompile, PolicyThatIsTooLongIsRefused) {
    const Outcome outcome = run(kCompile, "schema = 1\n#" + std::string(std::size_t{1} << 20U, 'x'));
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.errors, "sallyport-policy: /etc/p.toml: too long\n");
    EXPECT_EQ(outcome.result, "");
}

// On a kernel that refuses what the lockdown of the compiler needs.
bool refuses_without_landlock(const std::vector<std::string>& words) {
    const pid_t child = ::fork();
    if (child == 0) {
        std::array filter{
            sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_restrict_self, 0, 1),
            sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
            sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const sock_fprog program{.len = filter.size(), .filter = filter.data()};
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
            ::_exit(2);
        const Outcome outcome = run(words, "schema = 1\n");
        const bool is_refused = outcome.status > 0 && outcome.result.empty() &&
                                outcome.errors.find("landlock") != std::string::npos &&
                                outcome.output.find("rules:") == std::string::npos;
        if (!is_refused) std::fputs((outcome.output + outcome.errors).c_str(), stderr);
        ::_exit(is_refused ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(Compiler, ReadsNoPolicyWhereItCannotConfineItself) {
    EXPECT_TRUE(refuses_without_landlock(kCompile));
    for (const char* verb : {"check", "freeze-plan", "effective", "fmt", "cells"})
        EXPECT_TRUE(refuses_without_landlock({verb, "/proc/self/fd/3"})) << verb;
}

TEST(Compiler, ReadsNoLogWhereItCannotConfineItself) {
    for (const char* verb : {"report", "learn", "metrics", "verify-log"})
        EXPECT_TRUE(refuses_without_landlock({verb, "/proc/self/fd/3"})) << verb;
    EXPECT_TRUE(refuses_without_landlock(
        {"status", "--statedir", "/proc/self/fdinfo", "--policy", "/proc/self/fd/3"}));
}

TEST(ToolCheck, SummaryNamesRulesAndCommands) {
    const Outcome outcome = run({"check", "/proc/self/fd/3"}, "schema = 1\ninclude = \"profile:minimal\"\n");
    EXPECT_EQ(outcome.status, 0) << outcome.errors;
    EXPECT_NE(outcome.output.find("no errors"), std::string::npos);
    EXPECT_NE(outcome.output.find("minimal-sync (profile:minimal:4)"), std::string::npos);
    EXPECT_NE(outcome.output.find(
                  "enabled: guest-sync-delimited guest-sync guest-ping guest-info guest-fsfreeze-status "
                  "guest-fsfreeze-thaw\n"),
              std::string::npos)
        << outcome.output;
    EXPECT_EQ(outcome.errors, "");
}

TEST(ToolCheck, WarnsOfMissingDirectoriesAndExpiredRules) {
    const Outcome outcome = run({"check", "/proc/self/fd/3"}, R"(schema = 1
[[allow]]
id = "a"
commands = ["@file"]
files = [{ under = "/nowhere-at-all", access = ["read"], symlinks = "follow" }]
expires = 2001-01-01T00:00:00Z
[[deny]]
id = "never"
files = [{ under = "/root" }]
)");
    EXPECT_EQ(outcome.status, 0);
    const std::string rule = "/proc/self/fd/3:2: warning: rule 'a': ";
    EXPECT_EQ(outcome.errors,
              rule + "has expired and has no effect\n" + rule +
                  "follows symbolic links, and there are deny rules for files: whoever can make a link below "
                  "it leads "
                  "the host to every file that the policy allows and no deny rule names\n" +
                  rule + "directory '/nowhere-at-all' cannot be looked at: No such file or directory\n");
}

TEST(ToolCheck, WarnsOfProgramsThatMakeTheHostAsGoodAsRoot) {
    const Outcome outcome = run({"check", "/proc/self/fd/3"}, R"(schema = 1
[[allow]]
id = "a"
commands = ["guest-exec"]
[[allow.exec]]
program = "/nowhere-at-all"
args = "any"
run_as = "root"
host_env = "any"
[[allow]]
id = "b"
commands = ["guest-exec"]
[[allow.exec]]
program = "/bin/sh"
args = ["-c", { one_of = ["true", "false"] }, { int = [1, 3] }, { under = "/srv" }, { name = 8 }]
run_as = "root"
confine = { tasks = 4 }
)");
    EXPECT_EQ(outcome.status, 0) << outcome.errors;
    const std::string rule = "/proc/self/fd/3:2: warning: rule 'a': ";
    EXPECT_EQ(
        outcome.errors,
        rule + "'/nowhere-at-all' takes any words: what it can do with them, the host can, as root\n" + rule +
            "'/nowhere-at-all' takes any environment: by LD_PRELOAD and the like the host is root\n" + rule +
            "program '/nowhere-at-all' cannot be looked at: No such file or directory\n" +
            "/proc/self/fd/3:10: warning: rule 'b': '/bin/sh' is started only where the service manager "
            "leaves the agent a control group (Delegate=memory pids): nothing else counts the tasks of "
            "root\n");
    EXPECT_NE(outcome.output.find("starts: /bin/sh '-c' one of 2 1..3 under '/srv' name of 8 (as user 0)\n"),
              std::string::npos)
        << outcome.output;
    EXPECT_NE(
        run({"check", "/proc/self/fd/3"}, "schema = 1\ninclude = \"profile:compat\"\n")
            .errors.find("rule 'compat-exec': the host can start any program: it is root in this guest"),
        std::string::npos);
}

TEST(ToolCheck, ShowsUsersAndWarnsOfTheWaysIn) {
    const Outcome outcome = run({"check", "/proc/self/fd/3"}, R"(schema = 1
[[allow]]
id = "a"
commands = ["@accounts"]
users = ["root"]
crypted = "only"
key_types = ["ssh-ed25519"]
max_keys = 3
reset = true
require = ["restrict", "pty"]
[[allow]]
id = "b"
commands = ["guest-set-user-password"]
users = "any"
crypted = "any"
[[allow]]
id = "c"
commands = ["guest-ssh-get-authorized-keys"]
users = "any"
)");
    EXPECT_EQ(outcome.status, 0) << outcome.errors;
    EXPECT_NE(outcome.output.find(
                  "        users: root\n        passwords: as hashes only\n"
                  "        keys: at most 3 ssh-ed25519, each with restrict,pty, or in place of all others\n"),
              std::string::npos)
        << outcome.output;
    EXPECT_NE(outcome.output.find("        users: any but root\n        passwords: plain or as hashes\n"),
              std::string::npos);
    const std::string place = "/proc/self/fd/3:";
    EXPECT_EQ(
        outcome.errors,
        place + "2: warning: rule 'a': the host can let itself in as 'root': it is root in this guest\n" +
            place + "2: warning: rule 'a': 'reset' lets the host take all other keys of these users away\n" +
            place +
            "11: warning: rule 'b': the host can let itself in as any user but root, also as one who may "
            "become "
            "root\n");
}

TEST(ToolCheck, ALinkOnTheWayToADirectoryIsAnErrorWithItsPlace) {
    const test::Scratch scratch;
    scratch.make_folder("home/inbox");
    std::filesystem::create_symlink("home", scratch.path("link"));
    const Outcome outcome = run({"check", "/proc/self/fd/3"}, R"(schema = 1
[[allow]]
id = "a"
commands = ["@file"]
files = [{ under = ")" + scratch.path("link/inbox") + R"(", access = ["read"] }]
)");
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.output, "");
    EXPECT_EQ(outcome.errors, "/proc/self/fd/3:2: error: rule 'a': '" + scratch.path("link") +
                                  "' is a symbolic link on the way to 'under'; did you mean '" +
                                  scratch.path("home/inbox") + "'?\n");
}

TEST(ToolCheck, WarnsOfADenyRuleThatTheHostsClockEnds) {
    const Outcome outcome = run({"check", "/proc/self/fd/3"},
                                "schema = 1\n[[deny]]\nid = \"d\"\nfiles = [{ under = \"/root\" }]\n"
                                "expires = 2099-01-01T00:00:00Z\n");
    EXPECT_EQ(outcome.errors,
              "/proc/self/fd/3:2: warning: rule 'd': ends when the clock says so, and the host can set the "
              "clock forward\n");
}

TEST(ToolCheck, ShowsHoursAndWarnsOfADenyRuleThatHasSome) {
    const std::string hours = "{ hours = \"22:00-05:00\", tz = \"UTC\" }";
    const Outcome outcome =
        run({"check", "/proc/self/fd/3"},
            "schema = 1\n[[deny]]\nid = \"d\"\nfiles = [{ under = \"/root\" }]\nwhen = " + hours + "\n");
    EXPECT_EQ(
        outcome.errors,
        "/proc/self/fd/3:2: warning: rule 'd': denies in its hours only, and the host can set the clock "
        "forward past them\n");
    EXPECT_NE(outcome.output.find("        when: " + hours + "\n"), std::string::npos) << outcome.output;
}

TEST(ToolCheck, ReadsATimeZoneOfTheSystemInsideItsSandbox) {
    const std::string rule =
        "schema = 1\n[[allow]]\nid = \"a\"\ncommands = [\"guest-get-time\"]\nwhen = { days "
        "= \"mon\", tz = \"";
    EXPECT_EQ(run({"check", "/proc/self/fd/3"}, rule + "Europe/Berlin\" }\n").status, 0);
    EXPECT_EQ(
        run({"check", "/proc/self/fd/3"}, rule + "Europe/Berlim\" }\n").errors,
        "/proc/self/fd/3:5:29: error: unknown time zone 'Europe/Berlim'; did you mean 'Europe/Berlin'?\n");
}

TEST(ToolCheck, WarnsOfWhatAHostGainsThatSetsTheClock) {
    const std::string clock =
        "[[allow]]\nid = \"c\"\ncommands = [\"@hardware\"]\n"
        "vcpus = { min_online = 2, cpus = \"1-3,8\" }\nmemory = { blocks = \"any\" }\n";
    const std::string denial =
        "[[deny]]\nid = \"d\"\ncommands = [\"guest-shutdown\"]\nexpires = 2099-01-01T00:00:00Z\n";
    const Outcome outcome =
        run({"check", "/proc/self/fd/3"}, "schema = 1\n" + clock + "time = { max_step = \"5m\" }\n" + denial);
    EXPECT_EQ(
        outcome.errors,
        "/proc/self/fd/3:2: warning: rule 'c': lets the host set the clock, forwards step by step, and so "
        "end deny rule 'd' (/proc/self/fd/3:8), which expires\n"
        "/proc/self/fd/3:8: warning: rule 'd': ends when the clock says so, and the host can set the clock "
        "forward\n");
    for (const char* line :
         {"        sets the clock: at most 300000 ms\n",
          "        sets processors: 1-3 8 (at least 2 stay online)\n", "        sets memory blocks: any\n"})
        EXPECT_NE(outcome.output.find(line), std::string::npos) << outcome.output;
    const std::string any = "schema = 1\n" + clock + "time = { max_step = \"any\" }\n";
    EXPECT_EQ(
        run({"check", "/proc/self/fd/3"}, any).errors,
        "/proc/self/fd/3:2: warning: rule 'c': the host can set the clock to any time: certificates that "
        "have expired are valid again, and those that have not are not\n");
    EXPECT_EQ(
        run({"check", "/proc/self/fd/3"}, any + "[[deny]]\nid = \"n\"\ncommands = [\"guest-set-time\"]\n")
            .errors,
        "")
        << "denied for ever";
}

TEST(ToolCheck, WarnsOfADirectoryToFreezeThatIsNoMountPoint) {
    const Outcome outcome = run({"check", "/proc/self/fd/3"},
                                "schema = 1\n[[allow]]\nid = \"f\"\ncommands = [\"@freeze\"]\n"
                                "freeze = { mounts = [\"/\", \"/etc\"], max_frozen = \"2s\" }\n");
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(
        outcome.errors,
        "/proc/self/fd/3:2: warning: rule 'f': '/etc' in 'mounts' is no mount point now, and nothing is "
        "frozen for it; freeze-plan shows what would be\n");
    EXPECT_NE(outcome.output.find("        freezes: / /etc (thawed after 2000 ms at the latest)\n"),
              std::string::npos)
        << outcome.output;
}

TEST(ToolCheck, BrokenPolicyFails) {
    const Outcome outcome = run({"check", "/proc/self/fd/3"}, "schema = 3\n");
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.errors,
              "/proc/self/fd/3:1:10: error: schema 3 is unknown; this version knows schema 1\n");
    EXPECT_EQ(outcome.output, "");
}

TEST(ToolCheck, MissingFileFails) {
    const Outcome outcome = run({"check", "/nowhere-at-all"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.errors,
              "sallyport-policy: /nowhere-at-all: cannot be opened: No such file or directory\n");
}

TEST(ToolUsage, WrongCommandLineIsItsOwnStatus) {
    EXPECT_EQ(run({}).status, 2);
    EXPECT_EQ(run({}).errors, "sallyport-policy: A subcommand is required; --help shows what there is\n");
    EXPECT_EQ(run({"check"}).status, 2);
    EXPECT_EQ(run({"chekc", "x"}).status, 2);
    EXPECT_EQ(run({"compile"}).status, 2);
    EXPECT_EQ(run({"compile", "--input-fd", "3"}).status, 2);
    EXPECT_EQ(run({"compile", "--input-fd", "-3", "--name", "x", "--passwd-fd", "4", "--group-fd", "4",
                   "--output-fd", "5"})
                  .status,
              2);
    EXPECT_EQ(run({"--help"}).status, 0);
}

}  // namespace
}  // namespace sallyport::policy

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (argc != 2) return 2;
    sallyport::policy::tool() = argv[1];
    return RUN_ALL_TESTS();
}
