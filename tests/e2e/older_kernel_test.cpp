// On a kernel with an earlier Landlock: the agent serves, does what it does on others, and says what this one lacks. Each case is played on
// as many kernels as there are versions, by tests/support/older_kernel.cpp; which one it is, it asks.
#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/run_tool.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

long landlock() {
    return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

/// The kernels whose Landlock can do what this one's cannot.
std::vector<std::string> missing() {
    std::vector<std::string> kernels{"5.19", "6.2", "6.7", "6.10", "6.12"};
    const auto there = std::clamp(landlock() - 1, 0L, static_cast<long>(kernels.size()));
    kernels.erase(kernels.begin(), kernels.begin() + there);
    return kernels;
}

// Every process of the agent runs.
constexpr const char* kPolicy = R"(schema = 1
audit = { max_size = "256KiB", keep = 50 }
[[allow]]
id = "files"
commands = ["@file"]
files = [{ under = "$D/files", access = ["read", "write", "create"] }]
[[allow]]
id = "freeze"
commands = ["@freeze"]
freeze = { mounts = ["/nonexistent"] }
[[allow]]
id = "look"
commands = ["@inspect"]
[[allow]]
id = "programs"
commands = ["@exec"]
[[allow.exec]]
program = "/usr/bin/perl"
args = "any"
run_as = "root"
confine = { write = ["$D/may"] }
)";

void prepare(const Scratch& scratch) {
    fs::permissions(scratch.path(), fs::perms{0755});
    scratch.write("files/there", "contents");
    scratch.write("out", "contents");
    scratch.write("may/from/file", "x");
    scratch.make_folder("may/to");
}

class OlderKernel : public testing::Test {
protected:
    void SetUp() override { ASSERT_TRUE(agent_.is_serving()) << agent_.messages(); }
    json::value ask(std::string_view name, std::string_view arguments = "{}") {
        return result_of(host_.ask(command(name, arguments)));
    }
    std::int64_t open(const char* name, const char* mode) {
        return ask("guest-file-open",
                   members({{"path", in_quotes(agent_.scratch().path(name))}, {"mode", in_quotes(mode)}}))
            .as_int64();
    }
    /// Whether `text`, Perl with two paths in @ARGV, does not die; it is confined by the rule.
    bool perl(std::string_view text, const std::string& first, const std::string& second = "") {
        const json::array words{"-e", text, agent_.scratch().path(first), agent_.scratch().path(second)};
        const auto pid = ask("guest-exec",
                             members({{"path", in_quotes("/usr/bin/perl")}, {"arg", json::serialize(words)}}))
                             .at("pid")
                             .as_int64();
        json::object ended;
        EXPECT_TRUE(eventually([&] {
            ended = ask("guest-exec-status", members({{"pid", std::to_string(pid)}})).as_object();
            return ended.at("exited").as_bool();
        }));
        return ended.at("exitcode").as_int64() == 0;
    }

    Agent agent_{AgentOptions{.policy = kPolicy, .prepare = prepare}};
    HostClient host_ = agent_.connect();
};

TEST_F(OlderKernel, IsNamedAtTheStartWithAllThatItLacks) {
    std::vector<std::string> named;
    for (const json::object& record : agent_.audit()) {
        if (text_of(record, "what") != "older-kernel") continue;
        const json::object& arguments = record.at("arguments").as_object();
        EXPECT_EQ(arguments.at("landlock").as_int64(), landlock());
        for (const auto& [name, text] : arguments)
            if (name != "landlock") named.emplace_back(name);
    }
    EXPECT_EQ(named, missing());
    const bool is_in_the_journal = agent_.messages().find(R"("what":"older-kernel")") != std::string::npos;
    EXPECT_EQ(is_in_the_journal, !missing().empty()) << agent_.messages();
}

TEST_F(OlderKernel, IsNamedAmongThePrivileges) {
    const Said said = run_tool(build_root() + "/policy/tool/verbs/sallyport-policy", "/", "privileges");
    EXPECT_EQ(said.status, 0);
    EXPECT_TRUE(said.has("\nthis kernel\n  Landlock " + std::to_string(landlock()) + "\n")) << said.text;
    std::vector<std::string> named;
    const std::string mark = "\n  until Linux ";
    for (std::size_t at = 0; (at = said.text.find(mark, at)) != std::string::npos; at += mark.size()) {
        const std::size_t begin = at + mark.size();
        named.push_back(said.text.substr(begin, said.text.find(':', begin) - begin));
    }
    EXPECT_EQ(named, missing());
}

TEST_F(OlderKernel, ServesWhatEachProcessDoes) {
    EXPECT_EQ(ask("guest-fsfreeze-status").as_string(), "thawed");
    EXPECT_FALSE(ask("guest-get-osinfo").as_object().empty());
    const auto there = std::to_string(open("files/there", "r"));
    EXPECT_EQ(ask("guest-file-read", members({{"handle", there}})).as_object().at("count").as_int64(), 8);
    const auto made = std::to_string(open("files/made", "w"));
    ask("guest-file-write", members({{"handle", made}, {"buf-b64", in_quotes(base64("abc"))}}));
    ask("guest-file-close", members({{"handle", made}}));
    EXPECT_EQ(read_file(agent_.scratch().path("files/made")), "abc");
    // The log is renamed when it is full, which happens within one directory.
    const std::string read = command("guest-file-read", members({{"handle", there}, {"count", "1"}}));
    EXPECT_TRUE(eventually([&] {
        for (int times = 0; times < 200; ++times) host_.ask(read);
        return fs::exists(agent_.state() + "/audit.jsonl.1");
    }));
    EXPECT_EQ(agent_.stop(), 0);
}

// What the agent says that a kernel lacks, and nothing else.
TEST_F(OlderKernel, LetsAProgramEmptyWhatItMayNotWriteUntil62AndMoveNothingUntil519) {
    constexpr const char* kWrite = "open(F, '>>', $ARGV[0]) or die";
    EXPECT_FALSE(perl(kWrite, "out"));
    EXPECT_TRUE(perl(kWrite, "may/from/file"));
    EXPECT_FALSE(perl("unlink($ARGV[0]) or die", "out"));
    EXPECT_EQ(perl("truncate($ARGV[0], 0) or die", "out"), landlock() < 3);
    EXPECT_EQ(read_file(agent_.scratch().path("out")), landlock() < 3 ? "" : "contents");
    EXPECT_TRUE(perl("rename($ARGV[0], $ARGV[1]) or die", "may/from/file", "may/from/moved"));
    EXPECT_EQ(perl("rename($ARGV[0], $ARGV[1]) or die", "may/from/moved", "may/to/moved"), landlock() >= 2);
    EXPECT_FALSE(perl("rename($ARGV[0], $ARGV[1]) or die", "out", "may/to/out"));
}

}  // namespace
}  // namespace sallyport::test
