// Files under a policy: what its rules let through, what they refuse, and that a refusal leaves nothing
// behind.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <regex>

#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kSomebody = 12345;

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "read-only"
why = "a folder to look at"
commands = ["@file"]
files = [{ under = "$D/read", access = ["read"] }]
[[allow]]
id = "read-and-write"
why = "a folder to work in"
commands = ["@file"]
files = [{ under = "$D/write", access = ["read", "write", "create"] }]
[[allow]]
id = "change-only"
why = "what exists may change"
commands = ["@file"]
files = [{ under = "$D/change", access = ["read", "write"] }]
[[allow]]
id = "small"
why = "small files only"
commands = ["@file"]
files = [{ under = "$D/small", access = ["read", "write", "create"], max_size = "1KiB" }]
[[allow]]
id = "owned"
why = "one user's files"
commands = ["@file"]
files = [{ under = "$D/owned", access = ["read", "write"], owner = [12345] }]
[[allow]]
id = "lax"
why = "everything that is refused by default"
commands = ["@file"]
files = [{ under = "$D/lax", access = ["read", "write", "create"], kinds = ["regular", "directory", "fifo", "char"], symlinks = "follow", links = "any", setid = "any", create_mode = "0640" }]
[[deny]]
id = "never-secret"
why = "not even when a rule allows it"
files = [{ under = "$D/write/secret" }]
[[deny]]
id = "never-inside"
why = "not by another name either"
files = [{ under = "$D/lax/never" }]
[[deny]]
id = "nothing-new"
why = "what is there may change, nothing is added"
files = [{ under = "$D/write/fixed", access = ["create"] }]
)";

void prepare(const Scratch& scratch) {
    scratch.write("outside/file", "outside");
    scratch.write("read/file", "readable");
    scratch.write("read/sub/file", "deeper");
    scratch.write("read-not/file", "a sibling with the same beginning");
    scratch.write("write/file", "writable");
    scratch.write("write/secret/file", "secret");
    scratch.write("write/fixed/file", "fixed");
    scratch.write("write/secretive", "only a name that begins like it");
    scratch.write("change/file", "changeable");
    scratch.write("small/small", std::string(1024, 's'));
    scratch.write("small/large", std::string(1025, 'l'));
    scratch.write("owned/mine", "of root");
    const std::string theirs = scratch.write("owned/theirs", "of somebody");
    if (::chown(theirs.c_str(), kSomebody, kSomebody) != 0) throw std::runtime_error("chown");
    scratch.write("lax/never/file", "never");
    fs::create_symlink("never/file", scratch.path("lax/link-denied"));
    fs::create_symlink("never", scratch.path("lax/folder-denied"));
    for (const std::string folder : {"write/", "lax/"}) {
        scratch.write(folder + "setuid", "setuid", 04755);
        scratch.write(folder + "setgid", "setgid", 02755);
        scratch.write(folder + "plain", "plain");
        fs::create_symlink("plain", scratch.path(folder + "link-inside"));
        fs::create_symlink(scratch.path("outside/file"), scratch.path(folder + "link-outside"));
        fs::create_symlink("../outside/file", scratch.path(folder + "link-up"));
        fs::create_symlink(scratch.path("outside"), scratch.path(folder + "folder-outside"));
        fs::create_symlink("/proc/self/root", scratch.path(folder + "magic"));
        fs::create_symlink("nowhere", scratch.path(folder + "dangling"));
        fs::create_hard_link(scratch.path("outside/file"), scratch.path(folder + "hard"));
        ::mkfifo(scratch.path(folder + "fifo").c_str(), 0644);
        ::mknod(scratch.path(folder + "device").c_str(), S_IFCHR | 0644, makedev(1, 3));
        scratch.make_folder(folder + "folder");
    }
}

enum class Want { kOpened, kRefused, kMissing };

struct Case {
    const char* name;
    const char* path;  // below the scratch folder, or absolute
    const char* mode;
    Want want;
};

class FilePolicy : public testing::Test {
protected:
    static void SetUpTestSuite() {
        agent_ = std::make_unique<Agent>(AgentOptions{.policy = kPolicy, .prepare = prepare});
        ASSERT_TRUE(agent_->is_serving()) << agent_->messages();
        host_ = std::make_unique<HostClient>(agent_->connect());
        ASSERT_EQ(host_->ask(command("guest-ping")), "{\"return\": {}}");  // the worker is there
        EXPECT_EQ(close(open("read/file", "r")), "{\"return\": {}}");      // and a clerk
        EXPECT_TRUE(eventually([] {
            const std::size_t now = count_descriptors(agent_->broker().pid());
            return std::exchange(descriptors_, now) == now;
        }));
    }
    static void TearDownTestSuite() {
        host_.reset();
        agent_.reset();
    }
    static std::string full(const std::string& path) {
        return path.starts_with('/') ? path : agent_->scratch().path(path);
    }
    static std::string open(const std::string& path, const std::string& mode) {
        return host_->ask(command("guest-file-open",
                                  members({{"path", in_quotes(full(path))}, {"mode", in_quotes(mode)}})));
    }
    static std::string close(const std::string& reply) {
        return host_->ask(
            command("guest-file-close", members({{"handle", std::to_string(handle_of(reply))}})));
    }
    static std::string write(const std::string& reply, const std::string& text) {
        return host_->ask(command("guest-file-write", members({{"handle", std::to_string(handle_of(reply))},
                                                               {"buf-b64", in_quotes(base64(text))}})));
    }
    static bool is_refusal(const std::string& reply, const std::string& path, const std::string& mode) {
        const std::string start = "failed to open file '" + full(path) + "' (mode: '" + mode + "'): ";
        const std::string desc = desc_of(reply);
        return class_of(reply) == "GenericError" && desc.starts_with(start) &&
               std::regex_match(desc.substr(start.size()),
                                std::regex(R"(Operation not permitted \(denial [0-9a-f]{8}-[0-9]+\))"));
    }
    static std::unique_ptr<Agent> agent_;
    static std::unique_ptr<HostClient> host_;
    static std::size_t descriptors_;  // of the broker, with one clerk that has nothing to do
};

std::unique_ptr<Agent> FilePolicy::agent_;
std::unique_ptr<HostClient> FilePolicy::host_;
std::size_t FilePolicy::descriptors_ = 0;

class OpenUnderPolicy : public FilePolicy, public testing::WithParamInterface<Case> {};

TEST_P(OpenUnderPolicy, IsJudgedByTheRulesAndLeavesNothingWhenRefused) {
    const Case& one = GetParam();
    const bool existed = fs::exists(fs::symlink_status(full(one.path)));
    const std::string reply = open(one.path, one.mode);
    if (one.want == Want::kOpened) {
        EXPECT_EQ(desc_of(reply), "");
        EXPECT_EQ(close(reply), "{\"return\": {}}");
    } else if (one.want == Want::kRefused) {
        EXPECT_TRUE(is_refusal(reply, one.path, one.mode)) << reply;
    } else {
        EXPECT_TRUE(desc_of(reply).ends_with("': No such file or directory") ||
                    desc_of(reply).ends_with("): No such file or directory"))
            << reply;
    }
    // A file that keeps a clerk has another started; one of them ends after it.
    EXPECT_TRUE(eventually([&] { return count_descriptors(agent_->broker().pid()) == descriptors_; }));
    if (one.want != Want::kOpened) {
        EXPECT_EQ(fs::exists(fs::symlink_status(full(one.path))), existed);
    }
}

// clang-format off
const Case kCases[] = {
    {"AllowedFileForReading",          "read/file",          "r",  Want::kOpened},
    {"AllowedFileInASubfolder",        "read/sub/file",      "rb", Want::kOpened},
    {"AllowedFileByADottedPath",       "read/./sub/../file", "r",  Want::kOpened},
    {"AllowedFileByDoubledSlashes",    "read//sub///file",   "r",  Want::kOpened},
    {"MissingFileInAnAllowedFolder",   "read/none",          "r",  Want::kMissing},
    {"ReadOnlyFolderForWriting",       "read/file",          "w",  Want::kRefused},
    {"ReadOnlyFolderForAppending",     "read/file",          "a",  Want::kRefused},
    {"ReadOnlyFolderForBoth",          "read/file",          "r+", Want::kRefused},
    {"ReadOnlyFolderForCreating",      "read/new",           "w",  Want::kRefused},
    {"TheFolderItself",                "read",               "r",  Want::kRefused},
    {"ASubfolder",                     "read/sub",           "r",  Want::kRefused},
    {"SiblingWithTheSameBeginning",    "read-not/file",      "r",  Want::kRefused},
    {"SiblingThatDoesNotExist",        "read-nothing/file",  "r",  Want::kRefused},
    {"OutsideAndThere",                "outside/file",       "r",  Want::kRefused},
    {"OutsideAndNotThere",             "outside/none",       "r",  Want::kRefused},
    {"OutsideByDotDot",                "read/../outside/file", "r", Want::kRefused},
    {"OutsideByManyDotDots",           "read/sub/../../../../../../../../../../../../etc/passwd", "r", Want::kRefused},
    {"EtcShadow",                      "/etc/shadow",        "r",  Want::kRefused},
    {"EtcShadowForWriting",            "/etc/shadow",        "a",  Want::kRefused},
    {"TheRoot",                        "/",                  "r",  Want::kRefused},
    {"ProcSelfMem",                    "/proc/self/mem",     "r+", Want::kRefused},
    {"ProcSelfRoot",                   "/proc/self/root/etc/passwd", "r", Want::kRefused},
    {"ProcSelfFd",                     "/proc/self/fd/3",    "r",  Want::kRefused},
    {"WritableFileForReading",         "write/file",         "r",  Want::kOpened},
    {"WritableFileForBoth",            "write/file",         "r+", Want::kOpened},
    {"WritableFileForAppending",       "write/file",         "a+", Want::kOpened},
    {"DenyBeatsAllow",                 "write/secret/file",  "r",  Want::kRefused},
    {"DenyBeatsAllowForNewFiles",      "write/secret/new",   "w",  Want::kRefused},
    {"DenyBeatsAllowByDotDot",         "write/x/../secret/file", "r", Want::kRefused},
    {"DeniedFolderItself",             "write/secret",       "r",  Want::kRefused},
    {"NameThatBeginsLikeADeniedOne",   "write/secretive",    "r",  Want::kOpened},
    {"DenyOfCreatingLeavesWhatIsThere", "write/fixed/file",  "r+", Want::kOpened},
    {"DenyOfCreatingRefusesNewFiles",  "write/fixed/new",    "w",  Want::kRefused},
    {"ChangeOnlyForWriting",           "change/file",        "r+", Want::kOpened},
    {"ChangeOnlyForCreating",          "change/new",         "w",  Want::kRefused},
    {"ChangeOnlyForAppendingToNew",    "change/new",         "a",  Want::kRefused},
    {"SizeAtTheLimit",                 "small/small",        "r",  Want::kOpened},
    {"SizeOverTheLimit",               "small/large",        "r",  Want::kRefused},
    {"SizeOverTheLimitForWriting",     "small/large",        "r+", Want::kRefused},
    {"SizeOverTheLimitForTruncating",  "small/large",        "w",  Want::kRefused},
    {"WrongOwner",                     "owned/mine",         "r",  Want::kRefused},
    {"WrongOwnerForWriting",           "owned/mine",         "r+", Want::kRefused},
    {"RightOwner",                     "owned/theirs",       "r",  Want::kOpened},
    {"RightOwnerForWriting",           "owned/theirs",       "r+", Want::kOpened},
    {"SetUserId",                      "write/setuid",       "r",  Want::kRefused},
    {"SetUserIdForTruncating",         "write/setuid",       "w",  Want::kRefused},
    {"SetGroupId",                     "write/setgid",       "r+", Want::kRefused},
    {"HardLinkToOutside",              "write/hard",         "r",  Want::kRefused},
    {"HardLinkToOutsideForWriting",    "write/hard",         "w",  Want::kRefused},
    {"HardLinkToOutsideForAppending",  "write/hard",         "a",  Want::kRefused},
    {"LinkInside",                     "write/link-inside",  "r",  Want::kRefused},
    {"LinkOutside",                    "write/link-outside", "r",  Want::kRefused},
    {"LinkOutsideForWriting",          "write/link-outside", "w",  Want::kRefused},
    {"LinkUpAndOutside",               "write/link-up",      "r",  Want::kRefused},
    {"FolderLinkOutside",              "write/folder-outside/file", "r", Want::kRefused},
    {"FolderLinkOutsideForCreating",   "write/folder-outside/new", "w", Want::kRefused},
    {"MagicLink",                      "write/magic/etc/passwd", "r", Want::kRefused},
    {"DanglingLinkForCreating",        "write/dangling",     "w",  Want::kRefused},
    {"Fifo",                           "write/fifo",         "r",  Want::kRefused},
    {"FifoForBoth",                    "write/fifo",         "r+", Want::kRefused},
    {"Device",                         "write/device",       "r",  Want::kRefused},
    {"DeviceForWriting",               "write/device",       "w",  Want::kRefused},
    {"FolderForReading",               "write/folder",       "r",  Want::kRefused},
    {"LaxFollowsALinkInside",          "lax/link-inside",    "r",  Want::kOpened},
    {"LaxDoesNotFollowOutOfTheFolder", "lax/link-outside",   "r",  Want::kRefused},
    {"LaxDoesNotFollowUpAndOutside",   "lax/link-up",        "r",  Want::kRefused},
    {"LaxDoesNotFollowAFolderOutside", "lax/folder-outside/file", "r", Want::kRefused},
    {"LaxDoesNotFollowAMagicLink",     "lax/magic/etc/passwd", "r", Want::kRefused},
    {"LaxDoesNotFollowRoundADenial",   "lax/link-denied",    "r",  Want::kRefused},
    {"LaxDoesNotFollowAFolderRoundADenial", "lax/folder-denied/file", "r", Want::kRefused},
    {"LaxCreatesNothingRoundADenial",  "lax/folder-denied/new", "w", Want::kRefused},
    {"LaxAcceptsHardLinks",            "lax/hard",           "r",  Want::kOpened},
    {"LaxAcceptsSetUserId",            "lax/setuid",         "r",  Want::kOpened},
    {"LaxAcceptsSetGroupId",           "lax/setgid",         "r",  Want::kOpened},
    {"LaxAcceptsFifos",                "lax/fifo",           "r",  Want::kOpened},
    {"LaxAcceptsDevices",              "lax/device",         "r",  Want::kOpened},
    {"LaxAcceptsFolders",              "lax/folder",         "r",  Want::kOpened},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(, OpenUnderPolicy, testing::ValuesIn(kCases), case_name<Case>);

TEST_F(FilePolicy, RefusalReadsTheSameWhetherTheFileExistsOrNot) {
    const auto shape = [](std::string reply, const std::string& name) {
        reply = std::regex_replace(reply, std::regex("denial [0-9a-f]+-[0-9]+"), "denial ID");
        return std::regex_replace(reply, std::regex(name), "NAME");
    };
    EXPECT_EQ(shape(open("outside/file", "r"), "file'"), shape(open("outside/none", "r"), "none'"));
    EXPECT_EQ(shape(open("outside/file", "w"), "file'"), shape(open("outside/none", "w"), "none'"));
    EXPECT_EQ(shape(open("write/secret/file", "r"), "file'"), shape(open("write/secret/none", "r"), "none'"));
    EXPECT_EQ(shape(open("outside/file/x", "r"), "file/x'"), shape(open("outside/none/x", "r"), "none/x'"));
}

TEST_F(FilePolicy, EachDenialHasAnIdOfItsOwn) {
    EXPECT_NE(open("outside/file", "r"), open("outside/file", "r"));
}

TEST_F(FilePolicy, DenialIdFindsTheAuditLine) {
    const std::string desc = desc_of(open("outside/file", "r"));
    const std::string id = desc.substr(desc.rfind(' ') + 1, desc.size() - desc.rfind(' ') - 2);
    EXPECT_GE(id.size(), 8U) << desc;
    const auto record = agent_->audit().back();
    EXPECT_EQ(id, text_of(record, "run") + "-" + text_of(record, "seq"));
}

TEST_F(FilePolicy, RefusedTruncationLeavesTheContents) {
    for (const std::string name :
         {"small/large", "write/setuid", "write/hard", "owned/mine", "read/file", "write/secret/file"}) {
        const std::string before = read_file(full(name));
        EXPECT_TRUE(is_refusal(open(name, "w"), name, "w")) << name;
        EXPECT_TRUE(is_refusal(open(name, "w+"), name, "w+")) << name;
        EXPECT_EQ(read_file(full(name)), before) << name;
    }
}

TEST_F(FilePolicy, AllowedTruncationEmptiesTheFile) {
    agent_->scratch().write("write/shrinks", "contents");
    EXPECT_EQ(close(open("write/shrinks", "w")), "{\"return\": {}}");
    EXPECT_EQ(read_file(full("write/shrinks")), "");
}

TEST_F(FilePolicy, NewFileHasTheRulesModeWhateverTheUmask) {
    struct Made {
        const char* path;
        mode_t mode;
    };
    for (const Made made : {Made{"write/made", 0600}, Made{"lax/made", 0640}}) {
        EXPECT_EQ(close(open(made.path, "w")), "{\"return\": {}}");
        struct stat info{};
        ASSERT_EQ(::stat(full(made.path).c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 07777U, made.mode) << made.path;
    }
}

TEST_F(FilePolicy, SizeLimitHoldsForWritesToo) {
    const std::string handle = open("small/grows", "w");
    EXPECT_EQ(desc_of(write(handle, std::string(1024, 'x'))), "");
    const std::string over = write(handle, "y");
    EXPECT_EQ(class_of(over), "GenericError") << over;
    EXPECT_LE(read_file(full("small/grows")).size(), 1024U);
    close(handle);
}

TEST_F(FilePolicy, WrittenTextIsReadBack) {
    const std::string handle = open("write/roundtrip", "w+");
    EXPECT_EQ(write(handle, "some text"), "{\"return\": {\"count\": 9, \"eof\": false}}");
    EXPECT_EQ(read_file(full("write/roundtrip")), "some text");
    close(handle);
}

std::vector<pid_t> clerks_of(Agent& agent) {
    for (const pid_t child : children_of(agent.broker().pid()))
        if (name_of(child) == "sallyport-files") return children_of(child);
    return {};
}

// A file in /proc has a clerk of its own, who ends when it is closed and others have nothing to do either.
TEST(FilesThatClerksKeep, OpenedAndClosedManyAtOnceAgainAndAgainAreAllServed) {
    Agent agent({.policy = "schema = 1\n[[allow]]\nid = \"read\"\ncommands = [\"@file\"]\nfiles = [{ under = "
                           "\"/proc\", access = [\"read\"] }]\n"});
    HostClient host = agent.connect();
    constexpr int kMany = 30;
    for (int round = 0; round < 20; ++round) {
        std::string opens, closes;
        for (int at = 0; at < kMany; ++at) opens += command("guest-file-open", R"({"path":"/proc/version"})");
        host.send(opens);
        for (int at = 0; at < kMany; ++at)
            closes +=
                command("guest-file-close", "{\"handle\":" + std::to_string(handle_of(host.line())) + "}");
        host.send(closes);
        for (int at = 0; at < kMany; ++at) ASSERT_EQ(host.line(), "{\"return\": {}}");
    }
    EXPECT_TRUE(eventually([&] { return clerks_of(agent).size() == 1; })) << clerks_of(agent).size();
    EXPECT_EQ(agent.stop(), 0);
}

// Where no rule lets anything be written, no clerk has a call that writes. The file in /proc is kept by the clerk that opened it.
TEST(PolicyThatOnlyReads, AnswersAWriteAsTheKernelWouldAndLosesNoClerk) {
    Agent agent({.policy =
                     "schema = 1\n[[allow]]\nid = \"read\"\ncommands = [\"@file\"]\nfiles = [{ under = "
                     "\"$D/read\", access = [\"read\"] }, { under = \"/proc\", access = [\"read\"] }]\n",
                 .prepare = [](const Scratch& scratch) { scratch.write("read/file", "contents"); }});
    HostClient host = agent.connect();
    const auto ask = [&](const std::string& what, std::int64_t handle, const std::string& more = "") {
        return host.ask(command("guest-file-" + what, "{\"handle\":" + std::to_string(handle) + more + "}"));
    };
    for (const std::string& path : {agent.scratch().path("read/file"), std::string("/proc/version")}) {
        const auto handle =
            handle_of(host.ask(command("guest-file-open", members({{"path", in_quotes(path)}}))));
        const auto before = clerks_of(agent);
        for (int times = 0; times < 3; ++times)
            EXPECT_EQ(desc_of(ask("write", handle, ",\"buf-b64\":\"YQ==\"")),
                      "failed to write to file: Bad file descriptor");
        for (const pid_t clerk : before) EXPECT_TRUE(is_running(clerk));
        EXPECT_EQ(desc_of(ask("flush", handle)), "");
        EXPECT_EQ(from_base64(result_of(ask("read", handle)).at("buf-b64").as_string().c_str()),
                  read_file(path));
        EXPECT_EQ(ask("close", handle), "{\"return\": {}}");
    }
}

}  // namespace
}  // namespace sallyport::test
