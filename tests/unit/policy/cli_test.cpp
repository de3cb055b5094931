// The tool as the broker starts it: by descriptors, confined, with its exit status and its words.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "ipc/unique_fd.hpp"
#include "policy/decide.hpp"
#include "policy/policy.pb.h"
#include "tests/support/scratch.hpp"

namespace sallyport::policy {
namespace {

/// The path of the tool under test, from the command line.
std::string& tool() {
    static std::string path;
    return path;
}

UniqueFd file_with(std::string_view text) {
    UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
    EXPECT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(::lseek(file.get(), 0, SEEK_SET), 0);
    return file;
}

std::string text_of(const UniqueFd& file) {
    std::string text(static_cast<std::size_t>(::lseek(file.get(), 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(file.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return text;
}

struct Outcome {
    int status = -1;  // -1: ended by a signal
    std::string output;
    std::string errors;
    std::string result;  // what was written to descriptor 5
};

/// Runs the tool with `input` as descriptor 3 and `passwd` as descriptor 4.
Outcome run(std::vector<std::string> arguments, std::string_view input = "",
            std::string_view passwd = "root:x:0:0:\n") {
    arguments.insert(arguments.begin(), tool());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::array<UniqueFd, 5> files{file_with(""), file_with(""), file_with(input), file_with(passwd),
                                        file_with("")};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    // First out of the way of the numbers they are meant to have.
    for (int at = 0; at < 5; ++at)
        ::posix_spawn_file_actions_adddup2(&actions, files[static_cast<std::size_t>(at)].get(), 100 + at);
    for (int at = 0; at < 5; ++at) ::posix_spawn_file_actions_adddup2(&actions, 100 + at, 1 + at);
    pid_t child = 0;
    EXPECT_EQ(::posix_spawn(&child, tool().c_str(), &actions, nullptr, argv.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return {.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            .output = text_of(files[0]),
            .errors = text_of(files[1]),
            .result = text_of(files[4])};
}

const std::vector<std::string> kCompile{"compile",     "--input-fd", "3",           "--name", "/etc/p.toml",
                                        "--passwd-fd", "4",          "--output-fd", "5"};

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
    EXPECT_EQ(run({"check"}).status, 2);
    EXPECT_EQ(run({"chekc", "x"}).status, 2);
    EXPECT_EQ(run({"compile"}).status, 2);
    EXPECT_EQ(run({"compile", "--input-fd", "3"}).status, 2);
    EXPECT_EQ(
        run({"compile", "--input-fd", "-3", "--name", "x", "--passwd-fd", "4", "--output-fd", "5"}).status,
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
