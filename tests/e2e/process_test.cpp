// The agent as a process: options, configuration file, exit codes, signals, what a service manager hears.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <sstream>

#include "schema/commands.hpp"
#include "tests/support/agent.hpp"
#include "tests/support/cases.hpp"
#include "tests/support/process.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

const std::string kPong = "{\"return\": {}}";

Finished run_daemon(std::vector<std::string> words,
                    std::vector<std::string> environment = {"QGA_CONF=/nonexistent"}) {
    words.insert(words.begin(), build_root() + "/broker/sallyportd");
    return run({.words = std::move(words), .environment = std::move(environment)});
}

std::string all_commands() {
    std::string text;
    for (const Command& row : kCommands) text += std::string(row.name) + "\n";
    return text;
}

TEST(CommandLine, VersionAndHelpEndWithStatusZero) {
    for (const std::string word : {"-V", "--version"}) {
        const Finished shown = run_daemon({word});
        EXPECT_EQ(shown.ending, 0);
        EXPECT_NE(shown.out.find(SALLYPORT_VERSION), std::string::npos) << shown.out;
    }
    for (const std::string word : {"-h", "--help"}) {
        const Finished shown = run_daemon({word});
        EXPECT_EQ(shown.ending, 0);
        EXPECT_NE(shown.out.find("--policy"), std::string::npos);
    }
}

TEST(CommandLine, HelpForTheListsPrintsAllCommandsInOrder) {
    for (const std::string word :
         {"--block-rpcs=help", "--block-rpcs=?", "--allow-rpcs=help", "-bhelp", "-a?"}) {
        const Finished shown = run_daemon({word});
        EXPECT_EQ(shown.ending, 0) << word;
        EXPECT_EQ(shown.out, all_commands()) << word;
    }
}

struct BadWords {
    const char* name;
    std::vector<std::string> words;
};

class CommandLineErrors : public testing::TestWithParam<BadWords> {};

TEST_P(CommandLineErrors, EndWithStatusOneAndSayWhy) {
    const Finished ended = run_daemon(GetParam().words);
    EXPECT_EQ(ended.ending, 1);
    EXPECT_NE(ended.error, "");
}

const BadWords kBadWords[] = {
    {"UnknownLongOption", {"--no-such-option"}},
    {"UnknownShortOption", {"-Z"}},
    {"MissingValue", {"-m"}},
    {"EmptyAllowList", {"-a", "", "-D"}},
    {"AllowListOfCommas", {"-a", " , ,", "-D"}},
    {"BlankBetweenAnOptionAndItsOptionalValue", {"-F", "/etc/hook", "-D"}},
    {"BlankInAListThatIsNotQuoted", {"-b", "guest-ping,", "guest-info", "-D"}},
    {"DumpWithoutRequiredPath", {"-m", "unix-listen", "-D"}},
    {"ConfigThatIsNotThere", {"-c", "/nonexistent"}},
    {"ConfigThatIsAFolder", {"-c", "/tmp"}},
    {"PolicyThatIsNotThere", {"-m", "unix-listen", "-p", "/tmp/none.sock", "--policy", "/nonexistent"}},
    {"StateFolderThatIsNotThere", {"-m", "unix-listen", "-p", "/tmp/none.sock", "-t", "/nonexistent"}},
};
INSTANTIATE_TEST_SUITE_P(, CommandLineErrors, testing::ValuesIn(kBadWords), case_name<BadWords>);

// Whatever word is wrong: the message is short, and no byte of it commands a terminal.
TEST(CommandLine, MessagesAreBoundedAndPrintable) {
    const std::string word = "\033]0;title\a" + std::string(100'000, 'x');
    const Scratch scratch;
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"--" + word},
             {word},
             {"-m", word, "-D"},
             {"-m", "vsock-listen", "-p", word, "-D"},
             {"-m", "vsock-listen", "-p", "1:" + word, "-D"},
             {"-c", "/" + word},
             {"-b", word, "-D"},
             {"-m", "unix-listen", "-p", "/x", "--policy", "/" + word},
             {"-c", scratch.write("conf", "[general]\nverbose=" + word + "\n")},
             {"-D", "-c", scratch.write("other", "[" + word + "]\na=1\n[general]\n" + word + "=1\n")}}) {
        const Finished ended = run_daemon(words);
        EXPECT_NE(ended.error, "");
        EXPECT_LT(ended.error.size(), 1500U)
            << words[0].substr(0, 20) << words[words.size() - 1].substr(0, 20);
        EXPECT_TRUE(std::ranges::none_of(ended.error, [](char c) {
            return c != '\n' && ((c >= '\0' && c < ' ') || c == '\x7f');
        })) << ended.error;
    }
}

TEST(CommandLine, DumpPrintsTheConfigurationInItsOrder) {
    const Finished shown = run_daemon({"-D", "-m", "unix-listen", "-p", "/x/sock", "-l", "/x/log", "-f",
                                       "/x/pid", "-t", "/x/state", "-F", "-v", "-r", "-b",
                                       "guest-file-read,guest-file-write", "-a", "guest-ping"});
    EXPECT_EQ(shown.ending, 0) << shown.error;
    std::istringstream lines(shown.out);
    std::string keys;
    for (std::string line; std::getline(lines, line);) keys += line.substr(0, line.find('=')) + " ";
    EXPECT_TRUE(
        keys.starts_with("[general] daemon method path logfile pidfile fsfreeze-hook statedir verbose "
                         "retry-path block-rpcs allow-rpcs "))
        << keys;
    for (const std::string line :
         {"daemon=false\n", "method=unix-listen\n", "path=/x/sock\n", "logfile=/x/log\n", "pidfile=/x/pid\n",
          "statedir=/x/state\n", "fsfreeze-hook=/etc/qemu/fsfreeze-hook\n", "verbose=true\n",
          "retry-path=true\n", "allow-rpcs=guest-ping\n"})
        EXPECT_NE(shown.out.find(line), std::string::npos) << line;
}

class ConfigFile : public testing::Test {
protected:
    std::string dump(const std::string& text, std::vector<std::string> words = {}) {
        const std::string file = scratch_.write("qemu-ga.conf", text);
        words.insert(words.end(), {"-D", "-c", file});
        const Finished shown = run_daemon(std::move(words));
        EXPECT_EQ(shown.ending, 0) << shown.error;
        return shown.out;
    }
    Finished dump_by_variable(const std::string& text) {
        const std::string file = scratch_.write("qemu-ga.conf", text);
        return run_daemon({"-D"}, {"QGA_CONF=" + file});
    }
    Scratch scratch_;
};

TEST_F(ConfigFile, KeysOfQemuGaAreRead) {
    const std::string shown = dump(
        "[general]\ndaemon=true\nmethod=isa-serial\npath=/dev/ttyS1\nlogfile=/l\npidfile=/p\nstatedir=/s\n"
        "verbose=1\nretry-path=true\nblock-rpcs=guest-file-read\nallow-rpcs=guest-ping\n");
    for (const std::string line :
         {"daemon=true\n", "method=isa-serial\n", "path=/dev/ttyS1\n", "logfile=/l\n", "pidfile=/p\n",
          "statedir=/s\n", "verbose=true\n", "retry-path=true\n", "block-rpcs=guest-file-read\n",
          "allow-rpcs=guest-ping\n"})
        EXPECT_NE(shown.find(line), std::string::npos) << line << shown;
}

TEST_F(ConfigFile, CommandLineHasTheLastWord) {
    const std::string shown =
        dump("[general]\nmethod=isa-serial\npath=/dev/ttyS1\n", {"-m", "unix-listen", "-p", "/x"});
    EXPECT_NE(shown.find("method=unix-listen\npath=/x\n"), std::string::npos) << shown;
}

TEST_F(ConfigFile, ListsOfFileAndCommandLineAddUp) {
    const std::string shown = dump("[general]\nblock-rpcs=guest-file-read\n", {"-b", "guest-file-write"});
    EXPECT_NE(shown.find("guest-file-read"), std::string::npos);
    EXPECT_NE(shown.find("guest-file-write"), std::string::npos);
}

TEST_F(ConfigFile, UnknownKeysAndGroupsAreIgnored) {
    EXPECT_NE(dump("[other]\nmethod=x\n[general]\nnonsense=1\ndaemonize=true\n").find("daemon=false"),
              std::string::npos);
}

TEST_F(ConfigFile, VariableNamesIt) {
    EXPECT_NE(dump_by_variable("[general]\npath=/by/variable\n").out.find("path=/by/variable\n"),
              std::string::npos);
}

TEST_F(ConfigFile, VariableMayNameAFileThatIsNotThere) {
    EXPECT_EQ(run_daemon({"-D"}, {"QGA_CONF=/nonexistent/file"}).ending, 0);
}

TEST_F(ConfigFile, OptionBeatsVariable) {
    const std::string file = scratch_.write("other.conf", "[general]\npath=/by/option\n");
    const std::string ignored = scratch_.write("qemu-ga.conf", "[general]\npath=/by/variable\n");
    EXPECT_NE(run_daemon({"-D", "-c", file}, {"QGA_CONF=" + ignored}).out.find("path=/by/option\n"),
              std::string::npos);
}

TEST_F(ConfigFile, ThatTheOptionReplacesMayBeBroken) {
    const std::string good = scratch_.write("good.conf", "[general]\npath=/by/option\nnonsense=1\n");
    const std::string theirs = scratch_.write("theirs.conf", "[general]\npath=/theirs\n", 0666);
    for (const std::string& usual : {scratch_.write("broken.conf", "no group\n"), theirs, scratch_.path(),
                                     good, scratch_.path("missing.conf")}) {
        const Finished shown = run_daemon({"-D", "-c", good}, {"QGA_CONF=" + usual});
        EXPECT_EQ(shown.ending, 0) << usual << shown.error;
        EXPECT_NE(shown.out.find("path=/by/option\n"), std::string::npos) << usual;
        EXPECT_EQ(shown.error, "sallyportd: warning: the key 'nonsense' is unknown and ignored\n") << usual;
    }
    EXPECT_EQ(run_daemon({"-D"}, {"QGA_CONF=" + theirs}).ending, 1);
    EXPECT_EQ(run_daemon({"-V"}, {"QGA_CONF=" + theirs}).ending, 0);
}

TEST_F(ConfigFile, ThatCannotBeParsedEndsTheStart) {
    for (const std::string text : {"no group\n", "[general]\nverbose=maybe\n", "[general\nverbose=true\n",
                                   "[general]\nline without equals\n"})
        EXPECT_EQ(dump_by_variable(text).ending, 1) << text;
}

// Restrictions that an admin writes in one way or another: each is in the configuration that is used, or in a message.
struct Restriction {
    const char* name;
    const char* file;                // what stands in [general]
    std::vector<std::string> words;  // the options
    std::string shows;               // a line of -D
    std::string says;                // a part of the messages; "": there are none
};

class Restrictions : public testing::TestWithParam<Restriction> {};

TEST_P(Restrictions, AreTakenOrWarnedAbout) {
    const Restriction& restriction = GetParam();
    const Scratch scratch;
    std::vector<std::string> words{"-D", "-c",
                                   scratch.write("conf", "[general]\n" + std::string(restriction.file))};
    words.insert(words.end(), restriction.words.begin(), restriction.words.end());
    const Finished shown = run_daemon(words);
    EXPECT_EQ(shown.ending, 0) << shown.error;
    EXPECT_NE(shown.out.find(restriction.shows + "\n"), std::string::npos) << shown.out;
    if (restriction.says.empty()) {
        EXPECT_EQ(shown.error, "");
    } else {
        EXPECT_NE(shown.error.find("sallyportd: warning: " + restriction.says), std::string::npos)
            << shown.error;
        EXPECT_EQ(shown.error.find(restriction.says), shown.error.rfind(restriction.says)) << "said twice";
    }
}

const Restriction kRestrictions[] = {
    {"OldKey", "blacklist=guest-ping\n", {}, "block-rpcs=guest-ping", "the key 'blacklist' is the old name"},
    {"OldKeyBesideTheNew",
     "blacklist=guest-ping\nblock-rpcs=guest-info\n",
     {},
     "block-rpcs=guest-ping,guest-info",
     "the key 'blacklist'"},
    {"OldOption", "", {"--blacklist=guest-ping"}, "block-rpcs=guest-ping", "--blacklist is the old name"},
    {"Blanks",
     "block-rpcs= guest-ping , guest-info\tguest-sync\n",
     {},
     "block-rpcs=guest-ping,guest-info,guest-sync",
     ""},
    {"BlanksInAnOption", "", {"-b", " guest-ping, guest-info ,,"}, "block-rpcs=guest-ping,guest-info", ""},
    {"Unknown",
     "block-rpcs=guest-nothing\n",
     {},
     "block-rpcs=guest-nothing",
     "block-rpcs: there is no command 'guest-nothing'"},
    {"Misspelt",
     "",
     {"-b", "guest-file-raed"},
     "block-rpcs=guest-file-raed",
     "block-rpcs: there is no command 'guest-file-raed'; did you mean 'guest-file-read'?"},
    {"Capitals",
     "",
     {"-b", "Guest-Ping"},
     "block-rpcs=Guest-Ping",
     "block-rpcs: there is no command 'Guest-Ping'; did you mean 'guest-ping'?"},
    {"Semicolon",
     "block-rpcs=guest-ping;guest-info\n",
     {},
     "block-rpcs=guest-ping;guest-info",
     "block-rpcs: there is no command"},
    {"Quotes", "", {"-b", "'guest-ping'"}, "block-rpcs='guest-ping'", "block-rpcs: there is no command"},
    {"UnknownToAllow",
     "",
     {"-a", "guest-pign"},
     "allow-rpcs=guest-pign",
     "allow-rpcs: there is no command 'guest-pign'"},
    {"QuestionMarkInAList", "block-rpcs=?\n", {}, "block-rpcs=?", "block-rpcs: there is no command '?'"},
    {"HelpInAList",
     "",
     {"-b", "guest-ping,help"},
     "block-rpcs=guest-ping,help",
     "block-rpcs: there is no command 'help'"},
    {"CommandOfQemuGaThatIsNotHere",
     "",
     {"-b", "guest-set-vcpus,guest-get-devices"},
     "block-rpcs=guest-set-vcpus,guest-get-devices",
     ""},
    {"NothingToBlock", "block-rpcs=\n", {"-b", ""}, "block-rpcs=", ""},
    {"KeyThatNobodyKnows",
     "block_rpcs=guest-ping\n",
     {},
     "block-rpcs=",
     "the key 'block_rpcs' is unknown and ignored; did you mean 'block-rpcs'?"},
    {"GroupInCapitals",
     "[General]\nblock-rpcs=guest-ping\n",
     {},
     "block-rpcs=",
     "the group [General] is ignored"},
};
INSTANTIATE_TEST_SUITE_P(, Restrictions, testing::ValuesIn(kRestrictions), case_name<Restriction>);

TEST_F(ConfigFile, EmptyAllowListOrAListGivenTwiceEndsTheStart) {
    for (const char* text : {"[general]\nallow-rpcs=\n", "[general]\nallow-rpcs= , \n",
                             "[general]\nblock-rpcs=guest-ping\nblock-rpcs=guest-info\n"}) {
        const Finished ended = dump_by_variable(text);
        EXPECT_EQ(ended.ending, 1) << text;
        EXPECT_NE(ended.error.find("-rpcs"), std::string::npos) << ended.error;
    }
}

TEST_F(ConfigFile, ThatTheVariableNamesAndThatIsNotThereIsSaid) {
    EXPECT_NE(run_daemon({"-D"}, {"QGA_CONF=/nonexistent/file"}).error.find("/nonexistent/file"),
              std::string::npos);
    EXPECT_EQ(run_daemon({"-D"}, {}).error, "");
}

TEST_F(ConfigFile, ThatCannotBeLookedAtEndsTheStart) {
    ASSERT_EQ(::symlink("loop", scratch_.path("loop").c_str()), 0);
    EXPECT_EQ(run_daemon({"-D"}, {"QGA_CONF=" + scratch_.path("loop")}).ending, 1);
}

TEST(Policy, ThatIsWrongStopsTheStartAndSaysWhere) {
    struct Wrong {
        const char* text;
        const char* where;
    };
    for (const Wrong& wrong :
         {Wrong{"schema = 1\nallwo = []\n", "policy.toml:2:"},
          Wrong{"schema = 1\n[[allow]\n", "policy.toml:2:"}, Wrong{"schema = 99\n", "policy.toml:1:"},
          Wrong{"schema = 1\n[[allow]]\nid = \"x\"\nwhy = \"y\"\ncommands = [\"guest-nothing\"]\n",
                "policy.toml:5:"}}) {
        Agent agent({.policy = wrong.text});
        EXPECT_EQ(agent.broker().wait(), 1) << wrong.text;
        EXPECT_FALSE(agent.is_serving());
        EXPECT_NE(agent.messages().find(wrong.where), std::string::npos) << agent.messages();
    }
}

TEST(Policy, ThatOthersCanWriteStopsTheStart) {
    Agent agent(
        {.prepare = [](const Scratch& scratch) { scratch.write("policy.toml", "schema = 1\n", 0666); }});
    EXPECT_EQ(agent.broker().wait(), 1);
    EXPECT_NE(agent.messages(), "");
}

TEST(Policy, ThatBelongsToSomebodyElseStopsTheStart) {
    Agent agent({.prepare = [](const Scratch& scratch) {
        if (::chown(scratch.path("policy.toml").c_str(), 12345, 12345) != 0)
            throw std::runtime_error("chown");
    }});
    EXPECT_EQ(agent.broker().wait(), 1);
}

std::int64_t kept_time(const Agent& agent) {
    const std::string bytes = read_file(agent.state() + "/sallyport.clock");
    std::int64_t time = 0;
    if (bytes.size() == sizeof time) std::memcpy(&time, bytes.data(), sizeof time);
    return time;
}

// As if the clock had been set to 2040 in an earlier run, and back before this one.
TEST(Expiry, OfARuleIsNotTakenBackByAClockThatIsSetBack) {
    Agent agent({.policy = "schema = 1\n[[allow]]\nid = \"a\"\ncommands = [\"guest-get-host-name\"]\n"
                           "expires = 2035-01-01T00:00:00Z\n"});
    EXPECT_EQ(desc_of(agent.connect().ask(command("guest-get-host-name"))), "");
    EXPECT_TRUE(eventually([&] { return kept_time(agent) != 0; })) << "the recorder writes it";
    EXPECT_NEAR(static_cast<double>(kept_time(agent)), static_cast<double>(std::time(nullptr)), 60);
    EXPECT_EQ(agent.stop(), 0);
    const std::int64_t in_2040 = 2'208'988'800;
    agent.scratch().write("state/sallyport.clock",
                          std::string_view(reinterpret_cast<const char*>(&in_2040), sizeof in_2040), 0600);
    agent.restart();
    EXPECT_NE(desc_of(agent.connect().ask(command("guest-get-host-name"))), "");
    EXPECT_EQ(agent.count_audit("what", "clock-behind"), 1U);
    EXPECT_GE(kept_time(agent), in_2040);
}

TEST(ServiceManager, HearsReadyStatusAndStopping) {
    Agent agent({});
    EXPECT_TRUE(agent.is_notified("READY=1"));
    EXPECT_TRUE(agent.is_notified("STATUS="));
    EXPECT_EQ(agent.stop(), 0);
    EXPECT_TRUE(agent.is_notified("STOPPING=1"));
}

TEST(Signals, TermAndIntEndTheServiceWithStatusZero) {
    for (const int number : {SIGTERM, SIGINT}) {
        Agent agent({});
        HostClient host = agent.connect();
        EXPECT_EQ(host.ask(command("guest-ping")), kPong);
        const auto all = agent.processes();
        EXPECT_GE(all.size(), 3U);
        agent.broker().signal(number);
        EXPECT_EQ(agent.broker().wait(), 0);
        for (const pid_t process : all) EXPECT_TRUE(eventually([&] { return !is_running(process); }));
    }
}

/// The number in a pid file; waits for it.
pid_t read_pid_file(const std::string& file) {
    std::string text;
    eventually([&] {
        if (!fs::exists(file)) return false;
        text = read_file(file);
        return text.ends_with('\n');
    });
    return std::stoi("0" + text);
}

/// Whether nobody holds the lock by which a running daemon keeps its pid file.
bool can_lock(const std::string& file) {
    const UniqueFd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return ::fcntl(fd.get(), F_SETLK, &lock) == 0;
}

TEST(Daemon, GoesToTheBackgroundAndKeepsAPidFile) {
    const Scratch scratch;
    scratch.make_folder("state", 0700);
    const std::string policy = scratch.write("policy.toml", "schema = 1\n");
    const std::string pid_file = scratch.path("pid");
    const std::string socket = scratch.path("host.sock");
    const Finished parent = run_daemon({"-d", "-f", pid_file, "-l", scratch.path("log"), "-m", "unix-listen",
                                        "-p", socket, "--policy", policy, "-t", scratch.path("state")});
    EXPECT_EQ(parent.ending, 0) << parent.error;
    const pid_t daemon = read_pid_file(pid_file);
    ASSERT_GT(daemon, 1);
    EXPECT_EQ(HostClient(socket).ask(command("guest-ping")), kPong);
    EXPECT_EQ(::getsid(daemon), daemon);
    EXPECT_EQ(fs::read_symlink("/proc/" + std::to_string(daemon) + "/cwd"), "/");
    EXPECT_EQ(fs::status(pid_file).permissions(), fs::perms(0600));
    EXPECT_FALSE(can_lock(pid_file));
    ASSERT_TRUE(send_signal(daemon, SIGTERM));
    EXPECT_TRUE(eventually([&] { return !is_running(daemon); }));
    EXPECT_TRUE(can_lock(pid_file)) << "the lock outlived the process";
}

TEST(Daemon, ClosesAPidFileThatOthersCanOpenBeforeItIsLocked) {
    const Scratch scratch;
    scratch.make_folder("state", 0700);
    const std::string policy = scratch.write("policy.toml", "schema = 1\n");
    const std::string pid_file = scratch.write("pid", "1\n");
    fs::permissions(pid_file, fs::perms(0644));
    const std::vector<std::string> words{"-d",
                                         "-f",
                                         pid_file,
                                         "-m",
                                         "unix-listen",
                                         "-p",
                                         scratch.path("host.sock"),
                                         "--policy",
                                         policy,
                                         "-t",
                                         scratch.path("state")};
    {
        const UniqueFd reader(::open(pid_file.c_str(), O_RDONLY | O_CLOEXEC));
        struct flock lock{};
        lock.l_type = F_RDLCK;
        lock.l_whence = SEEK_SET;
        ASSERT_EQ(::fcntl(reader.get(), F_OFD_SETLK, &lock), 0);
        const Finished refused = run_daemon(words);
        EXPECT_EQ(refused.ending, 1);
        EXPECT_NE(refused.error.find(pid_file + ": Cannot lock pid file (`fuser -v` says who has)"),
                  std::string::npos)
            << refused.error;
    }
    EXPECT_EQ(fs::status(pid_file).permissions(), fs::perms(0600));
    const Finished parent = run_daemon(words);
    EXPECT_EQ(parent.ending, 0) << parent.error;
    const pid_t daemon = read_pid_file(pid_file);
    ASSERT_GT(daemon, 1);
    ASSERT_TRUE(send_signal(daemon, SIGTERM));
    EXPECT_TRUE(eventually([&] { return !is_running(daemon); }));
}

TEST(Daemon, ThatCannotStartSaysSoToItsParent) {
    const Scratch scratch;
    scratch.make_folder("state", 0700);
    const std::string policy = scratch.write("policy.toml", "schema = 1\n");
    const Finished parent =
        run_daemon({"-d", "-f", scratch.path("pid"), "-m", "isa-serial", "-p", "/dev/no-such-port",
                    "--policy", policy, "-t", scratch.path("state")});
    EXPECT_EQ(parent.ending, 1);
    EXPECT_NE(parent.error, "");
    EXPECT_TRUE(can_lock(scratch.path("pid")));
}

}  // namespace
}  // namespace sallyport::test
