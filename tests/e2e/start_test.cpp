// Starts that must fail, and what they leave behind and say.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/agent.hpp"
#include "tests/support/cases.hpp"
#include "tests/support/process.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;
constexpr uid_t kOther = 12345;

void give(const std::string& path) {
    if (::lchown(path.c_str(), kOther, kOther) != 0) throw std::runtime_error("lchown " + path);
}

/// A folder of another user with a link of his to `target`.
void link_of_another(const Scratch& scratch, const std::string& target, const std::string& name) {
    scratch.make_folder("theirs");
    fs::create_symlink(scratch.path(target), scratch.path("theirs/" + name));
    give(scratch.path("theirs/" + name));
    give(scratch.path("theirs"));
}

/// One start of the programs below `root`, in a scratch folder with policy.toml, state/ and qemu-ga.conf.
struct Start {
    const char* name;
    void (*prepare)(const Scratch&);
    std::vector<std::string> words;  // after -m unix-listen and the rest; $D is the scratch folder
    std::vector<std::string> says;   // what the message must hold
    bool with_copies = false;        // with copies of the programs, below programs/
    std::function<void()> before_exec = [] {};
};

std::string at(const Scratch& scratch, std::string text) {
    for (std::size_t found = 0; (found = text.find("$D")) != std::string::npos;)
        text.replace(found, 2, scratch.path());
    return text;
}

class StartFails : public testing::TestWithParam<Start> {};

TEST_P(StartFails, AndSaysWhatIsAtFault) {
    const Start& start = GetParam();
    const Scratch scratch;
    scratch.write("policy.toml", "schema = 1\n");
    scratch.write("qemu-ga.conf", "[general]\nverbose=true\n");
    scratch.make_folder("state", 0700);
    if (start.with_copies) copy_programs(build_root(), scratch, "programs/");
    start.prepare(scratch);
    const std::string root = start.with_copies ? scratch.path("programs") : build_root();
    std::vector<std::string> words{root + "/broker/sallyportd",
                                   "-m",
                                   "unix-listen",
                                   "-p",
                                   scratch.path("host.sock"),
                                   "--policy",
                                   scratch.path("policy.toml"),
                                   "-t",
                                   scratch.path("state"),
                                   "-c",
                                   scratch.path("qemu-ga.conf")};
    for (const std::string& word : start.words) words.push_back(at(scratch, word));
    const Finished ended =
        run({.words = words, .environment = {}, .output = "", .before_exec = start.before_exec});
    EXPECT_EQ(ended.ending, 1) << ended.error;
    EXPECT_NE(ended.error.find("sallyportd: "), std::string::npos) << ended.error;
    for (const std::string& word : start.says)
        EXPECT_NE(ended.error.find(at(scratch, word)), std::string::npos) << at(scratch, word) << "\n"
                                                                          << ended.error;
    EXPECT_FALSE(fs::exists(fs::symlink_status(scratch.path("host.sock")))) << "the socket is left";
}

const Start kTrust[] = {
    {"PolicyBehindALinkOfAnother",
     [](const Scratch& s) { link_of_another(s, "policy.toml", "link"); },
     {"--policy", "$D/theirs/link"},
     {"$D/theirs/link", "belongs to another user"}},
    {"PolicyInAFolderOfAnother",
     [](const Scratch& s) {
         s.write("theirs/policy.toml", "schema = 1\n");
         give(s.path("theirs"));
     },
     {"--policy", "$D/theirs/policy.toml"},
     {"$D/theirs/policy.toml", "($D/theirs)", "belongs to another user"}},
    {"PolicyInAFolderThatAnybodyMayWrite",
     [](const Scratch& s) {
         s.write("open/policy.toml", "schema = 1\n");
         ::chmod(s.path("open").c_str(), 0777);
     },
     {"--policy", "$D/open/policy.toml"},
     {"($D/open)", "can be written by others"}},
    {"ConfigurationBehindALinkOfAnother",
     [](const Scratch& s) { link_of_another(s, "qemu-ga.conf", "link"); },
     {"-c", "$D/theirs/link"},
     {"$D/theirs/link", "belongs to another user"}},
    {"StateFolderBehindALinkOfAnother",
     [](const Scratch& s) { link_of_another(s, "state", "link"); },
     {"-t", "$D/theirs/link"},
     {"$D/theirs/link", "belongs to another user"}},
    {"StateFolderInAFolderOfAnother",
     [](const Scratch& s) {
         s.make_folder("theirs/state");
         give(s.path("theirs"));
     },
     {"-t", "$D/theirs/state"},
     {"($D/theirs)", "belongs to another user"}},
    {"ProgramsOfTheAgentInAFolderThatAnybodyMayWrite",
     [](const Scratch& s) { ::chmod(s.path("programs/worker").c_str(), 0777); },
     {},
     {"$D/programs/broker/../worker/worker", "can be written by others"},
     true},
};
INSTANTIATE_TEST_SUITE_P(Trust, StartFails, testing::ValuesIn(kTrust), case_name<Start>);

/// A user namespace of ours in which `map` is the whole map of users and of groups.
void enter_user_namespace(const char* map) {
    const auto write_to = [](const char* file, std::string_view text) {
        const int fd = ::open(file, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || ::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
            ::_exit(121);
        ::close(fd);
    };
    // Written from outside: whoever is in it may write a map of one line only.
    int go[2];
    if (::pipe(go) != 0) ::_exit(121);
    const pid_t inside = ::getpid();
    const pid_t outside = ::fork();
    if (outside == 0) {
        char byte = 0;
        if (::read(go[0], &byte, 1) != 1) ::_exit(121);
        write_to(("/proc/" + std::to_string(inside) + "/uid_map").c_str(), map);
        write_to(("/proc/" + std::to_string(inside) + "/gid_map").c_str(), map);
        ::_exit(0);
    }
    int status = 0;
    if (::unshare(CLONE_NEWUSER) != 0 || ::write(go[1], "1", 1) != 1 ||
        ::waitpid(outside, &status, 0) != outside || status != 0)
        ::_exit(121);
    ::close(go[0]);
    ::close(go[1]);
}

void refuse_new_user_namespaces() {
    enter_user_namespace("0 0 4294967295");
    const int fd = ::open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ::write(fd, "0", 1) != 1) ::_exit(121);
    ::close(fd);
}

/// The kernel as if it did not know `call`.
void take_away(int call) {
    const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
    if (::seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0) != 0 || ::seccomp_load(filter) != 0)
        ::_exit(121);
    ::seccomp_release(filter);
}

/// Hides `place` from the agent, behind an empty file system that is root's.
void hide(const char* place, unsigned long flags = 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", place, "tmpfs", flags, "mode=0755") != 0)
        ::_exit(121);
}

void limit(__rlimit_resource resource, rlim_t most) {
    const rlimit both{.rlim_cur = most, .rlim_max = most};
    if (::setrlimit(resource, &both) != 0) ::_exit(121);
}

void nothing(const Scratch&) {}

void replace_program(const Scratch& scratch, const std::string& name, const char* by) {
    fs::remove(scratch.path("programs/" + name));
    fs::copy_file(by, scratch.path("programs/" + name));
}

constexpr const char* kEveryProcess =
    "schema = 1\n[[allow]]\nid = \"a\"\ncommands = [\"guest-shutdown\"]\nmodes = [\"halt\"]\n"
    "[[allow]]\nid = \"b\"\ncommands = [\"@freeze\"]\nfreeze = { mounts = [\"/nonexistent\"] }\n"
    "[[allow]]\nid = \"c\"\ncommands = [\"@inspect\"]\n";

void need_all(const Scratch& scratch) {
    scratch.write("policy.toml", kEveryProcess);
}

const Start kSystem[] = {
    {"FewDescriptors",
     nothing,
     {},
     {"640 descriptors", "LimitNOFILE="},
     false,
     [] { limit(RLIMIT_NOFILE, 64); }},
    {"UserNamespaceOfOneUser",
     nothing,
     {},
     {"is that mapped in this user namespace?"},
     false,
     [] { enter_user_namespace("0 0 1"); }},
    {"NoMoreUserNamespaces",
     nothing,
     {},
     {"/worker/worker: ", "user namespaces"},
     false,
     refuse_new_user_namespaces},
    {"NoLandlock", nothing, {}, {"landlock"}, false, [] { take_away(SCMP_SYS(landlock_create_ruleset)); }},
    {"NoLandlockForThoseWhoServe",
     need_all,
     {},
     {"landlock"},
     false,
     [] { take_away(SCMP_SYS(landlock_restrict_self)); }},
    {"NoFilters", nothing, {}, {"seccomp"}, false, [] { take_away(SCMP_SYS(seccomp)); }},
    {"NoProc", nothing, {}, {"/proc/self/exe"}, false, [] { hide("/proc"); }},
};
INSTANTIATE_TEST_SUITE_P(System, StartFails, testing::ValuesIn(kSystem), case_name<Start>);

const Start kInstallation[] = {
    {"ToolIsMissing",
     [](const Scratch& s) { fs::remove(s.path("programs/policy/tool/verbs/sallyport-policy")); },
     {},
     {"policy/tool/verbs/sallyport-policy: ", "No such file"},
     true},
    {"ToolHasTheWrongMode",
     [](const Scratch& s) { ::chmod(s.path("programs/policy/tool/verbs/sallyport-policy").c_str(), 0644); },
     {},
     {"policy/tool/verbs/sallyport-policy: cannot be executed", "Permission denied"},
     true},
    {"ToolIsNoProgram",
     [](const Scratch& s) { s.write("programs/policy/tool/verbs/sallyport-policy", "text\n", 0755); },
     {},
     {"policy/tool/verbs/sallyport-policy: cannot be executed", "Exec format error"},
     true},
    {"ToolIsKilled",
     [](const Scratch& s) {
         s.write("programs/policy/tool/verbs/sallyport-policy", "#!/bin/sh\nkill -9 $$\n", 0755);
     },
     {},
     {"policy/tool/verbs/sallyport-policy: "},
     true},
    {"WorkerIsMissing",
     [](const Scratch& s) { fs::remove(s.path("programs/worker/worker")); },
     {},
     {"worker/worker: ", "No such file"},
     true},
    {"WorkerHasTheWrongMode",
     [](const Scratch& s) { ::chmod(s.path("programs/worker/worker").c_str(), 0600); },
     {},
     {"worker/worker: cannot be executed"},
     true},
    {"WorkerEndsAtOnce",
     [](const Scratch& s) { replace_program(s, "worker/worker", "/bin/false"); },
     {},
     {"worker: it ended before it was ready"},
     true},
    {"GuardIsMissing",
     [](const Scratch& s) { need_all(s), fs::remove(s.path("programs/broker/guard/guard")); },
     {},
     {"guard/guard: ", "No such file"},
     true},
    {"GuardEndsAtOnce",
     [](const Scratch& s) { need_all(s), replace_program(s, "broker/guard/guard", "/bin/false"); },
     {},
     {"guard: it ended before it was ready"},
     true},
    {"LauncherEndsAtOnce",
     [](const Scratch& s) { need_all(s), replace_program(s, "broker/launcher/launcher", "/bin/false"); },
     {},
     {"launcher: it ended before it was ready"},
     true},
    {"InspectorEndsAtOnce",
     [](const Scratch& s) { need_all(s), replace_program(s, "inspector/inspector", "/bin/false"); },
     {},
     {"inspector: it ended before it was ready"},
     true},
};
INSTANTIATE_TEST_SUITE_P(Installation, StartFails, testing::ValuesIn(kInstallation), case_name<Start>);

const std::string kLongName(120, 'x');

const Start kPlaces[] = {
    {"PolicyIsMissing", nothing, {"--policy", "$D/none.toml"}, {"$D/none.toml: ", "No such file"}},
    {"PolicyIsAFolder", nothing, {"--policy", "$D/state"}, {"$D/state: "}},
    {"PolicyIsWrong",
     [](const Scratch& s) { s.write("policy.toml", "schema = 9\n"); },
     {},
     {"$D/policy.toml:1:", "$D/policy.toml: is refused"}},
    {"ConfigurationIsMissing", nothing, {"-c", "$D/none.conf"}, {"$D/none.conf: ", "No such file"}},
    {"StateFolderIsMissing", nothing, {"-t", "$D/none"}, {"$D/none: ", "No such file"}},
    {"StateFolderIsAFile", nothing, {"-t", "$D/policy.toml"}, {"$D/policy.toml: ", "Not a directory"}},
    {"LogIsAFolder",
     [](const Scratch& s) { s.make_folder("state/audit.jsonl"); },
     {},
     {"sallyport-recorder: audit.jsonl: Is a directory\nsallyportd: recorder: it ended"}},
    {"StateFolderIsReadOnly",
     nothing,
     {"-t", "/mnt"},
     {"/mnt: sallyport.state: Read-only file system"},
     false,
     [] { hide("/mnt", MS_RDONLY); }},
    {"StateFolderCannotBeWritten", nothing, {"-t", "/proc/self"}, {"/proc/self: "}},
    {"SocketPathIsTooLong", nothing, {"-p", "$D/" + kLongName}, {"$D/" + kLongName + ": ", "107 bytes"}},
    {"FolderOfTheSocketIsMissing", nothing, {"-p", "$D/none/socket"}, {"$D/none/socket: ", "No such file"}},
    {"SocketPathIsAFile", nothing, {"-p", "$D/policy.toml"}, {"$D/policy.toml: ", "not a socket"}},
    {"PortIsMissing", nothing, {"-m", "virtio-serial", "-p", "$D/port"}, {"$D/port: ", "No such file"}},
    {"PortIsNoSerialLine",
     nothing,
     {"-m", "isa-serial", "-p", "/dev/null"},
     {"/dev/null: ", "is no serial line"}},
    {"LogFileCannotBeMade", nothing, {"-l", "$D/none/log"}, {"$D/none/log: ", "No such file"}},
    {"PidFileCannotBeMade", nothing, {"-d", "-f", "$D/none/pid"}, {"$D/none/pid: ", "No such file"}},
    {"DaemonWithoutItsPort",
     nothing,
     {"-d", "-f", "$D/pid", "-l", "$D/log", "-m", "virtio-serial", "-p", "$D/port"},
     {"$D/port: ", "No such file"}},
    {"OptionIsUnknown", nothing, {"--nonsense"}, {"command line"}},
};
INSTANTIATE_TEST_SUITE_P(Places, StartFails, testing::ValuesIn(kPlaces), case_name<Start>);

Finished start_under_unit(const Scratch& scratch, const std::vector<std::string>& environment) {
    scratch.write("policy.toml", "schema = 1\n[[allow]]\nid = \"look\"\ncommands = [\"@inspect\"]\n");
    scratch.write("qemu-ga.conf", "[general]\nverbose=true\n");
    return run({.words = {build_root() + "/broker/sallyportd", "-m", "unix-listen", "-p",
                          scratch.path("host.sock"), "--policy", scratch.path("policy.toml"), "-t",
                          scratch.path("no-such-state"), "-c", scratch.path("qemu-ga.conf")},
                .environment = environment,
                .output = ""});
}

TEST(NarrowUnit, IsRefusedWithTheDropInsThatThePolicyNeedsAndNotTriedAgain) {
    const Finished ended = start_under_unit(Scratch(), {"SALLYPORT_UNIT=1", "SALLYPORT_UNIT_NETWORK=1"});
    EXPECT_EQ(ended.ending, 78) << ended.error;
    EXPECT_EQ(ended.error.find(
                  "sallyportd: /usr/share/sallyport/unit/system.conf: the policy needs these drop-ins"),
              0U)
        << ended.error;
}

TEST(NarrowUnit, IsNoneWithThem) {
    const Finished ended = start_under_unit(
        Scratch(), {"SALLYPORT_UNIT=1", "SALLYPORT_UNIT_NETWORK=1", "SALLYPORT_UNIT_SYSTEM=1"});
    EXPECT_EQ(ended.ending, 1) << ended.error;
    EXPECT_NE(ended.error.find("no-such-state"), std::string::npos) << ended.error;
}

TEST(NarrowUnit, IsNobodysMatterWithoutTheUnit) {
    const Finished ended = start_under_unit(Scratch(), {});
    EXPECT_EQ(ended.ending, 1) << ended.error;
    EXPECT_NE(ended.error.find("no-such-state"), std::string::npos) << ended.error;
}

TEST(Start, SecondAgentOnAStateFolderNamesItAndLeavesTheFirstItsSocket) {
    Agent first({});
    ASSERT_TRUE(first.is_serving());
    const Finished second =
        run({.words = {build_root() + "/broker/sallyportd", "-m", "unix-listen", "-p", first.socket(),
                       "--policy", first.scratch().path("policy.toml"), "-t", first.state()},
             .environment = {"QGA_CONF=/nonexistent"}});
    EXPECT_EQ(second.ending, 1);
    EXPECT_NE(second.error.find(first.state() + ": another agent"), std::string::npos) << second.error;
    EXPECT_EQ(first.connect().ask(command("guest-ping")), "{\"return\": {}}");
}

TEST(Start, NeitherClosedStandardDescriptorsNorAnIgnoredChildEndHinderIt) {
    Agent agent({.policy = kEveryProcess, .before_exec = [] {
                     ::signal(SIGCHLD, SIG_IGN);
                     ::close_range(0, 2, 0);
                 }});
    ASSERT_TRUE(agent.is_serving());
    EXPECT_EQ(agent.connect().ask(command("guest-ping")), "{\"return\": {}}");
}

TEST(Start, SocketAppearsWhenAllElseIsDone) {
    const Scratch scratch;
    scratch.write("policy.toml", "schema = 1\n");
    scratch.make_folder("state", 0700);
    copy_programs(build_root(), scratch, "programs/");
    // A worker that is never ready: the start goes on waiting for it.
    scratch.write("programs/worker/worker", "#!/bin/sh\nexec sleep 1000\n", 0755);
    Child agent(Program{.words = {scratch.path("programs/broker/sallyportd"), "-m", "unix-listen", "-p",
                                  scratch.path("host.sock"), "--policy", scratch.path("policy.toml"), "-t",
                                  scratch.path("state")},
                        .environment = {"QGA_CONF=/nonexistent"},
                        .output = scratch.path("messages")});
    pid_t worker = -1;
    ASSERT_TRUE(eventually([&] {
        for (const pid_t child : children_of(agent.pid()))
            if (name_of(child) == "sleep") worker = child;
        return worker > 0;
    }));
    EXPECT_FALSE(fs::exists(scratch.path("host.sock")));
    send_signal(worker, SIGKILL);
    EXPECT_EQ(agent.wait(), 1);
    EXPECT_FALSE(fs::exists(scratch.path("host.sock")));
}

struct Users {
    const char* name;
    const char* passwd;
};
class StartOfRootWithoutTheUser : public testing::TestWithParam<Users> {};

TEST_P(StartOfRootWithoutTheUser, FailsAndSaysWhatToDo) {
    const Scratch scratch;
    scratch.write("policy.toml", "schema = 1\n");
    scratch.write("passwd", std::string("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n") +
                                GetParam().passwd);
    scratch.make_folder("state", 0700);
    const std::string users = scratch.path("passwd");
    const Finished ended = run(
        {.words = {build_root() + "/broker/sallyportd", "-m", "unix-listen", "-p", scratch.path("host.sock"),
                   "--policy", scratch.path("policy.toml"), "-t", scratch.path("state")},
         .environment = {"QGA_CONF=/nonexistent"},
         .output = "",
         .before_exec = [&] {
             if (::unshare(CLONE_NEWNS) != 0 ||
                 ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                 ::mount(users.c_str(), "/etc/passwd", nullptr, MS_BIND, nullptr) != 0)
                 ::_exit(123);
         }});
    EXPECT_EQ(ended.ending, 1);
    for (const char* said : {"there is no user sallyport", "systemd-sysusers", "useradd"})
        EXPECT_NE(ended.error.find(said), std::string::npos) << ended.error;
    EXPECT_FALSE(fs::exists(scratch.path("host.sock")));
}

const Users kUsers[] = {
    {"Nobody", ""},
    {"WhoIsRoot", "sallyport:x:0:990::/:/bin/false\n"},
    {"WhoseGroupIsRoots", "sallyport:x:990:0::/:/bin/false\n"},
};
INSTANTIATE_TEST_SUITE_P(, StartOfRootWithoutTheUser, testing::ValuesIn(kUsers), case_name<Users>);

TEST(Broker, ThatIsRunByHandSaysWhoRunsIt) {
    const Finished ended = run(
        {.words = {build_root() + "/broker/broker"}, .environment = {}, .output = "", .before_exec = [] {}});
    EXPECT_EQ(ended.ending, 1);
    EXPECT_EQ(
        ended.error,
        "sallyport-broker: broker: the starter's setup (is this run by sallyportd?): Bad file descriptor\n");
}

TEST(Start, TheUmaskOfWhoeverStartsItDoesNotDecideWhoOpensTheState) {
    for (const mode_t mask : {mode_t{0}, mode_t{0777}}) {
        Agent agent({.policy = kEveryProcess, .before_exec = [mask] { ::umask(mask); }});
        ASSERT_TRUE(agent.is_serving());
        for (const char* name : {"audit.jsonl", "audit.lock", "sallyport.state", "sallyport.clock",
                                 "sallyport.budgets", "sallyport.frozen"}) {
            struct stat info{};
            ASSERT_EQ(::stat((agent.state() + "/" + name).c_str(), &info), 0) << name;
            EXPECT_EQ(info.st_mode & 07777U, 0600U) << name;
        }
    }
}

TEST(Start, RelativePolicyIsJudgedFromTheRootOn) {
    const Scratch scratch;
    scratch.write("theirs/policy.toml", "schema = 1\n");
    scratch.make_folder("state", 0700);
    give(scratch.path("theirs"));
    const Finished ended =
        run({.words = {build_root() + "/broker/sallyportd", "-m", "unix-listen", "-p",
                       scratch.path("host.sock"), "--policy", "policy.toml", "-t", scratch.path("state")},
             .environment = {"QGA_CONF=/nonexistent"},
             .output = "",
             .before_exec = [&] {
                 if (::chdir(scratch.path("theirs").c_str()) != 0) ::_exit(123);
             }});
    EXPECT_EQ(ended.ending, 1);
    EXPECT_NE(ended.error.find(scratch.path("theirs/policy.toml")), std::string::npos) << ended.error;
}

}  // namespace
}  // namespace sallyport::test
