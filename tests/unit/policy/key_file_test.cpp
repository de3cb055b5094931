// qemu-ga's configuration file: read as qemu-ga reads it.
#include "policy/tool/compile/key_file.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sallyport::policy::compile {
namespace {

compiled::Options options_of(std::string_view text) {
    auto options = read_key_file(text);
    EXPECT_TRUE(options) << options.error();
    return options ? *std::move(options) : compiled::Options();
}

TEST(KeyFile, EveryKeyOfTheGeneralGroupIsRead) {
    const compiled::Options options = options_of(R"([general]
daemon = true
method = unix-listen
path = /run/ga.sock
logfile = /var/log/ga.log
pidfile = /run/ga.pid
fsfreeze-hook = /etc/hook
statedir = /var/lib/ga
verbose = 1
retry-path = false
block-rpcs = guest-exec,guest-shutdown
allow-rpcs = guest-ping
policy = /etc/sallyport/policy.toml
)");
    EXPECT_TRUE(options.daemon());
    EXPECT_EQ(options.method(), "unix-listen");
    EXPECT_EQ(options.path(), "/run/ga.sock");
    EXPECT_EQ(options.logfile(), "/var/log/ga.log");
    EXPECT_EQ(options.pidfile(), "/run/ga.pid");
    EXPECT_EQ(options.fsfreeze_hook(), "/etc/hook");
    EXPECT_EQ(options.statedir(), "/var/lib/ga");
    EXPECT_TRUE(options.verbose());
    EXPECT_TRUE(options.has_retry_path());
    EXPECT_FALSE(options.retry_path());
    ASSERT_EQ(options.block_rpcs().size(), 1);
    EXPECT_EQ(options.block_rpcs(0), "guest-exec,guest-shutdown");
    ASSERT_EQ(options.allow_rpcs().size(), 1);
    EXPECT_EQ(options.policy(), "/etc/sallyport/policy.toml");
}

TEST(KeyFile, WhatIsNotThereIsAbsent) {
    for (const char* text : {"", "# a comment\n", "[general]\n", "[other]\nmethod = x\n"}) {
        const compiled::Options options = options_of(text);
        EXPECT_EQ(options.ByteSizeLong(), 0U) << text;
    }
}

TEST(KeyFile, UnknownKeysAndGroupsAreIgnored) {
    const compiled::Options options = options_of(
        "[general]\ndaemonize = x\nwhitelist = guest-ping\nmethod[de] = seriell\n[more]\nverbose = maybe\n");
    EXPECT_EQ(options.ByteSizeLong(), 0U);
}

TEST(KeyFile, LastOfARepeatedKeyCounts) {
    EXPECT_EQ(options_of("[general]\npath = a\n[x]\n[general]\npath = b\n").path(), "b");
}

TEST(KeyFile, EscapesAreGLibs) {
    EXPECT_EQ(options_of("[general]\npath = a\\sb\\\\c\n").path(), "a b\\c");
}

TEST(KeyFile, ListIsHandedOnAsItIsWritten) {
    const compiled::Options options = options_of("[general]\nblock-rpcs = a, b,,c\n");
    ASSERT_EQ(options.block_rpcs().size(), 1);
    EXPECT_EQ(options.block_rpcs(0), "a, b,,c");
}

TEST(KeyFile, BooleansAreFourWords) {
    for (const char* word : {"true", "1"})
        EXPECT_TRUE(options_of(std::string("[general]\nverbose=") + word).verbose()) << word;
    for (const char* word : {"false", "0"})
        EXPECT_FALSE(options_of(std::string("[general]\nverbose=") + word).verbose()) << word;
    for (const char* word : {"yes", "TRUE", "2", ""})
        EXPECT_FALSE(read_key_file(std::string("[general]\nverbose=") + word)) << word;
}

struct Broken {
    const char* name;
    std::string text;
    const char* expected;
};
void PrintTo(const Broken& broken, std::ostream* out) {
    *out << broken.name;
}

class KeyFileRefuses : public testing::TestWithParam<Broken> {};

TEST_P(KeyFileRefuses, InGLibsWords) {
    const auto options = read_key_file(GetParam().text);
    ASSERT_FALSE(options);
    EXPECT_EQ(options.error(), GetParam().expected);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(, KeyFileRefuses, testing::Values(
    Broken{"LineThatIsNoKey",   "[general]\nnonsense\n",       "Key file contains line “nonsense” which is not a key-value pair, group, or comment"},
    Broken{"KeyBeforeGroups",   "method = x\n",                "Key file does not start with a group"},
    Broken{"BadBoolean",        "[general]\nverbose = maybe\n", "Key file contains key “verbose” which has a value that cannot be interpreted."},
    Broken{"BadEscape",         "[general]\npath = a\\q\n",    "Key file contains key “path” which has a value that cannot be interpreted."},
    Broken{"TextThatIsNoUtf8",  "[general]\npath = \xff\n",    "Key file contains key “path” with value “�” which is not UTF-8"}),
    [](const auto& each) { return each.param.name; });
// clang-format on

TEST(KeyFile, MessageIsQemuGas) {
    EXPECT_EQ(key_file_error("/etc/qemu/qemu-ga.conf", "No such file or directory"),
              "error loading configuration from path: /etc/qemu/qemu-ga.conf, No such file or directory\n");
}

TEST(KeyFile, ListUnderItsOldNameIsOneMore) {
    const compiled::Options options = options_of("[general]\nblacklist=guest-exec\nblock-rpcs=guest-ping\n");
    ASSERT_EQ(options.block_rpcs().size(), 2);
    EXPECT_EQ(options.block_rpcs(0), "guest-exec");
    EXPECT_EQ(options.block_rpcs(1), "guest-ping");
    EXPECT_EQ(options_of("[general]\nallow-rpcs=\n").allow_rpcs_size(), 1) << "an empty list is a list";
}

TEST(KeyFile, ListThatIsGivenTwiceIsAnErrorSinceTheFirstWouldVanish) {
    for (const char* text :
         {"[general]\nblock-rpcs=a\nblock-rpcs=b\n", "[general]\nallow-rpcs=a\npath=/x\n\tallow-rpcs = b\n",
          "[general]\nblacklist=a\n[other]\nx=1\n[general]\nblacklist=b\n"})
        EXPECT_FALSE(read_key_file(text)) << text;
    EXPECT_TRUE(read_key_file("[general]\nblock-rpcs=a\n#block-rpcs=b\n[other]\nblock-rpcs=c\n"));
}

TEST(KeyFile, WhatHasNoEffectIsListed) {
    struct Ignored {
        const char* text;
        std::vector<std::string> says;
    };
    for (const Ignored& one : {
             Ignored{"[general]\nmethod=x\nblock-rpcs=a\n# note=1\n", {}},
             Ignored{"[general]\nblacklist=a\n", {"'blacklist' is the old name of 'block-rpcs'"}},
             Ignored{"[general]\nblocked-rpcs=a\n",
                     {"'blocked-rpcs' is unknown and ignored; did you mean 'block-rpcs'"}},
             Ignored{"[general]\n whitelist = a \n", {"'whitelist' is unknown and ignored"}},
             Ignored{"[General]\nblock-rpcs=a\nallow-rpcs=b\n", {"the group [General] is ignored"}},
             Ignored{"[general]\nx\x1b[2J=1\n[other]\ny=1\n",
                     {"'x\\x1b[2J' is unknown", "the group [other] is ignored"}},
         }) {
        const auto ignored = ignored_keys(one.text);
        ASSERT_EQ(ignored.size(), one.says.size()) << one.text;
        for (std::size_t at = 0; at < ignored.size(); ++at)
            EXPECT_NE(ignored[at].find(one.says[at]), std::string::npos) << ignored[at];
    }
}

}  // namespace
}  // namespace sallyport::policy::compile
