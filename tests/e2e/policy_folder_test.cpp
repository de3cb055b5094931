// The folders beside a policy: by whole agents.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/agent.hpp"
#include "tests/support/cases.hpp"
#include "tests/support/process.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;
constexpr uid_t kOther = 12345;
constexpr const char* kVendor = "/usr/share/sallyport/policy.d";
constexpr const char* kLook = "schema = 1\n[[allow]]\nid = \"look\"\ncommands = [\"@inspect\"]\n";
constexpr const char* kNoLoad = "schema = 1\n[[deny]]\nid = \"no-load\"\ncommands = [\"guest-get-load\"]\n";
constexpr const char* kDisabled = "has been disabled";

/// In the agent's process: a /usr/share of its own, where a package of a vendor has a file.
std::function<void()> with_vendor(const std::string& text) {
    return [text] {
        if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("none", "/usr/share", "tmpfs", 0, "mode=0755") != 0)
            ::_exit(121);
        ::umask(022);
        fs::create_directories(kVendor);
        std::ofstream(std::string(kVendor) + "/50-vendor.toml") << text;
    };
}

TEST(PolicyFolder, ItsFilesAddRulesAndTheLogSaysWhereEachStands) {
    Agent agent({.prepare = [](const Scratch& scratch) {
        scratch.write("policy.d/10-look.toml", kLook);
        scratch.write("policy.d/20-no-load.toml", kNoLoad);
        scratch.write("policy.d/10-look.toml~", "no policy at all");
        scratch.write("policy.d/README", "no policy either");
    }});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(desc_of(host.ask(command("guest-get-osinfo"))), "");
    EXPECT_NE(desc_of(host.ask(command("guest-get-load"))).find(kDisabled), std::string::npos);
    EXPECT_EQ(agent.count_audit("where", agent.scratch().path("policy.d/10-look.toml:2")), 1U);
    for (const char* ignored : {"policy.d/10-look.toml~: not read", "policy.d/README: not read"})
        EXPECT_NE(agent.messages().find("warning: " + agent.scratch().path(ignored)), std::string::npos)
            << agent.messages();
    EXPECT_EQ(agent.stop(), 0);
}

// Somebody has linked the folder's files to where a rule lets the host write, and accepts other names of a file.
TEST(PolicyFolder, AnotherNameOfAFileInItIsOpenedByNoRule) {
    Agent agent({.prepare = [](const Scratch& scratch) {
        scratch.write("policy.d/10-look.toml", kLook);
        scratch.write("policy.d/20-copy.toml",
                      "schema = 1\n[[allow]]\nid = \"copy\"\ncommands = [\"@file\"]\nfiles = [{ under = \"" +
                          scratch.path("copy") + "\", access = [\"read\", \"write\"], links = \"any\" }]\n");
        scratch.write("copy/mine", "text");
        fs::create_hard_link(scratch.path("copy/mine"), scratch.path("copy/again"));
        scratch.write("policy.d/30-never.toml",
                      "schema = 1\n[[never]]\nid = \"no-root\"\nexec = { run_as = [\"root\"] }\n");
        fs::create_hard_link(scratch.path("policy.d/10-look.toml"), scratch.path("copy/10-look.toml"));
        fs::create_hard_link(scratch.path("policy.d/30-never.toml"), scratch.path("copy/30-never.toml"));
    }});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    const auto open = [&](const char* name) {
        return desc_of(host.ask(
            command("guest-file-open", R"({"mode":"r+","path":")" + agent.scratch().path(name) + "\"}")));
    };
    EXPECT_EQ(open("copy/again"), "");
    EXPECT_NE(open("copy/10-look.toml"), "");
    EXPECT_NE(open("copy/30-never.toml"), "");
    EXPECT_EQ(agent.stop(), 0);
}

TEST(PolicyFolder, OfAVendorMayDeny) {
    Agent agent({.policy = kLook, .before_exec = with_vendor(kNoLoad)});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(desc_of(host.ask(command("guest-get-osinfo"))), "");
    EXPECT_NE(desc_of(host.ask(command("guest-get-load"))).find(kDisabled), std::string::npos);
    EXPECT_EQ(agent.stop(), 0);
}

TEST(PolicyFolder, OfAVendorMayNotAllow) {
    Agent agent({.before_exec = with_vendor(kLook)});
    EXPECT_FALSE(agent.is_serving());
    EXPECT_NE(agent.messages().find(std::string(kVendor) +
                                    "/50-vendor.toml:2:1: error: a vendor's file may only deny"),
              std::string::npos)
        << agent.messages();
}

struct Refused {
    const char* name;
    void (*prepare)(const Scratch&);
    std::vector<std::string> says;  // $D is the scratch folder
};

class FolderIsRefused : public testing::TestWithParam<Refused> {};

TEST_P(FolderIsRefused, AndTheStartSaysWhy) {
    const Refused& refused = GetParam();
    Agent agent({.prepare = [&](const Scratch& scratch) {
        scratch.write("policy.d/10-look.toml", kLook);
        refused.prepare(scratch);
    }});
    EXPECT_FALSE(agent.is_serving());
    for (std::string word : refused.says) {
        if (word.starts_with("$D")) word = agent.scratch().path(word.substr(3));
        EXPECT_NE(agent.messages().find(word), std::string::npos) << word << "\n" << agent.messages();
    }
}

const Refused kRefused[] = {
    {"ALink",
     [](const Scratch& s) {
         s.write("elsewhere.toml", kNoLoad);
         fs::create_symlink(s.path("elsewhere.toml"), s.path("policy.d/20-link.toml"));
     },
     {"$D/policy.d/20-link.toml: is a symbolic link"}},
    {"AFileOfAnother",
     [](const Scratch& s) {
         s.write("policy.d/20-theirs.toml", kNoLoad);
         ASSERT_EQ(::chown(s.path("policy.d/20-theirs.toml").c_str(), kOther, kOther), 0);
     },
     {"$D/policy.d/20-theirs.toml: belongs to another user"}},
    {"AFileThatOthersMayWrite",
     [](const Scratch& s) {
         s.write("policy.d/20-open.toml", kNoLoad);
         ASSERT_EQ(::chmod(s.path("policy.d/20-open.toml").c_str(), 0666), 0);
     },
     {"$D/policy.d/20-open.toml: can be written by others"}},
    {"AFolderThatOthersMayWrite",
     [](const Scratch& s) { ASSERT_EQ(::chmod(s.path("policy.d").c_str(), 0777), 0); },
     {"$D/policy.d: can be written by others"}},
    {"AFolderThatIsAFile",
     [](const Scratch& s) {
         fs::remove_all(s.path("policy.d"));
         s.write("policy.d", kLook);
     },
     {"$D/policy.d: cannot be opened: Not a directory"}},
    {"APipe",
     [](const Scratch& s) { ASSERT_EQ(::mkfifo(s.path("policy.d/20-pipe.toml").c_str(), 0600), 0); },
     {"$D/policy.d/20-pipe.toml: is no regular file"}},
    {"AFolderWithTheNameOfAFile",
     [](const Scratch& s) { s.make_folder("policy.d/20-folder.toml"); },
     {"$D/policy.d/20-folder.toml: is no regular file"}},
    {"TenThousandFiles",
     [](const Scratch& s) {
         for (int number = 0; number < 10'000; ++number)
             std::ofstream(s.path("policy.d/" + std::to_string(number) + ".toml")) << "schema = 1\n";
     },
     {"$D/policy.d: has too many files"}},
    {"AHugeFile",
     [](const Scratch& s) {
         s.write("policy.d/20-huge.toml", "schema = 1\n");
         fs::resize_file(s.path("policy.d/20-huge.toml"), std::uintmax_t{1} << 34U);
     },
     {"$D/policy.d/20-huge.toml: too long"}},
    {"AnOddName",
     [](const Scratch& s) { s.write("policy.d/20 no load.toml", kNoLoad); },
     {"$D/policy.d/20 no load.toml: a name with other than letters"}},
    {"AnIdThatIsThereTwice",
     [](const Scratch& s) { s.write("policy.d/20-look.toml", kLook); },
     {"20-look.toml:3:6: error: id 'look' is already used at ", "$D/policy.d/10-look.toml:2"}},
    {"AMistake",
     [](const Scratch& s) { s.write("policy.d/20-no.toml", "schema = 1\n[[dney]]\n"); },
     {"$D/policy.d/20-no.toml:2:3: error: unknown key 'dney'"}},
};
INSTANTIATE_TEST_SUITE_P(, FolderIsRefused, testing::ValuesIn(kRefused), case_name<Refused>);

}  // namespace
}  // namespace sallyport::test
