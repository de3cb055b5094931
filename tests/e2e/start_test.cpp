// Starts that must fail, and what they leave behind and say.
#include <gtest/gtest.h>
#include <sys/stat.h>
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

constexpr std::array kPrograms{
    "broker/sallyportd",           "broker/guard/guard", "broker/launcher/launcher",
    "policy/cli/sallyport-policy", "worker/worker",      "inspector/inspector"};

void copy_programs(const Scratch& scratch) {
    for (const std::string name : kPrograms) {
        scratch.make_folder("programs/" + name.substr(0, name.rfind('/')));
        fs::copy_file(build_root() + "/" + name, scratch.path("programs/" + name));
    }
}

class StartFails : public testing::TestWithParam<Start> {};

TEST_P(StartFails, AndSaysWhatIsAtFault) {
    const Start& start = GetParam();
    const Scratch scratch;
    scratch.write("policy.toml", "schema = 1\n");
    scratch.write("qemu-ga.conf", "[general]\nverbose=true\n");
    scratch.make_folder("state", 0700);
    if (start.with_copies) copy_programs(scratch);
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
