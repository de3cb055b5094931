// A host that goes for what no rule opens, at a whole agent: its memory, its log, its policy, its programs; what a deny rule names, by
// another name; what a link in the way leads to. The request of all of them is guest-file-open.
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <vector>

#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

// Everything, and a denial: what docs/policy.md advises to begin with.
constexpr const char* kOpenPolicy = R"(schema = 1
include = ["profile:compat"]
[[deny]]
id = "never"
files = [{ under = "$D/keys" }]
)";

void prepare(const Scratch& scratch) {
    scratch.write("keys/key", "key");
    scratch.write("work/file", "file");
    scratch.write("work/conf", "[general]\nverbose=true\n");
    scratch.write("work/pid", "1\n");
}

void scratch_file(const std::string& path) {
    std::ofstream(path) << "text";
}

class DeniedThings : public testing::Test {
protected:
    explicit DeniedThings(const std::string& policy = kOpenPolicy, const std::vector<std::string>& words = {})
        : agent_(AgentOptions{.policy = policy, .prepare = prepare, .words = words}) {
        if (!agent_.is_serving()) throw std::runtime_error(agent_.messages());
    }
    std::string open(const std::string& path, const std::string& mode) {
        return host_.ask(
            command("guest-file-open", members({{"path", in_quotes(path)}, {"mode", in_quotes(mode)}})));
    }
    // Sixty refusals are written at once, and only these have an identity.
    void expect_denied(const std::string& path, const std::vector<std::string>& modes = {"r", "r+", "a"}) {
        for (const std::string& mode : modes) {
            const std::string desc = desc_of(open(path, mode));
            EXPECT_NE(desc.find("Operation not permitted (denial "), desc.npos)
                << path << " " << mode << desc;
        }
    }
    [[nodiscard]] std::string path(const std::string& name) const { return agent_.scratch().path(name); }

    Agent agent_;
    HostClient host_ = agent_.connect();
};

TEST_F(DeniedThings, MemoryOfTheAgent) {
    for (const std::string& who :
         {std::string("self"), std::string("thread-self"), std::to_string(agent_.broker().pid()),
          std::to_string(agent_.nursery()), std::to_string(agent_.worker()), std::string("1")}) {
        expect_denied("/proc/" + who + "/mem");
        for (const char* file : {"maps", "environ", "root/etc/passwd", "task/1/mem", "fd/0"})
            expect_denied("/proc/" + who + "/" + file, {"r"});
    }
    expect_denied("/dev/fd/0");
}

TEST_F(DeniedThings, WhatWasRenamedWhileNoAgentRan) {
    agent_.stop();
    fs::rename(path("keys"), path("work/other"));
    fs::create_directory(path("keys"));
    agent_.restart();
    ASSERT_TRUE(agent_.is_serving()) << agent_.messages();
    host_ = agent_.connect();
    expect_denied(path("work/other/key"));
    expect_denied(agent_.state() + "/sallyport.denied");
    EXPECT_EQ(agent_.count_audit("what", "denied-not-kept"), 0U);
    agent_.stop();
    fs::rename(path("keys"), path("work/another"));
    fs::create_directory(path("keys"));
    fs::create_directory(agent_.state() + "/sallyport.denied.new");
    agent_.restart();
    ASSERT_TRUE(agent_.is_serving()) << agent_.messages();
    EXPECT_EQ(agent_.count_audit("what", "denied-not-kept"), 1U);
}

TEST_F(DeniedThings, FilesOfTheAgent) {
    const std::string log = read_file(agent_.audit_file());
    for (const std::string& file :
         {agent_.audit_file(), agent_.state() + "/sallyport.state", agent_.state() + "/none",
          path("policy.toml"), build_root() + "/broker/sallyportd", build_root() + "/worker/worker",
          build_root() + "/policy/tool/verbs/sallyport-policy", build_root() + "/inspector/inspector",
          build_root() + "/broker/guard/guard", build_root() + "/broker/launcher/launcher",
          build_root() + "/broker/recorder/recorder", build_root() + "/broker/files/files"})
        expect_denied(file);
    fs::create_hard_link(agent_.audit_file(), path("work/log"));
    fs::create_symlink(agent_.audit_file(), path("work/link"));
    fs::rename(path("policy.toml"), path("work/policy"));
    for (const char* name : {"work/log", "work/link", "work/policy"}) expect_denied(path(name));
    EXPECT_TRUE(read_file(agent_.audit_file()).starts_with(log));
    EXPECT_NE(desc_of(open(agent_.audit_file(), "w")).find("Operation not permitted"), std::string::npos);
    EXPECT_TRUE(read_file(agent_.audit_file()).starts_with(log));
}

// The agent's working directory is the scratch folder.
struct AgentOfOptions : DeniedThings {
    AgentOfOptions() : DeniedThings(kOpenPolicy, {"-c", "work/conf", "-l", "work/log", "-f", "work/pid"}) {}
};

TEST_F(AgentOfOptions, ConfigurationLogFileAndPidFile) {
    const std::string log = read_file(path("work/log"));
    EXPECT_NE(log, "");
    for (const std::string name : {"work/conf", "work/log", "work/pid"}) {
        expect_denied(path(name));
        fs::create_hard_link(path(name), path(name + "-too"));
        expect_denied(path(name + "-too"));
        EXPECT_NE(desc_of(open(path(name), "w")).find("Operation not permitted"), std::string::npos);
        EXPECT_NE(read_file(path(name)), "");
    }
    EXPECT_EQ(desc_of(open(path("work/file"), "r")), "");
}

TEST_F(DeniedThings, ConfigurationThatIsNotThereYet) {
    expect_denied(path("none"), {"r", "w", "a", "r+"});
    EXPECT_FALSE(fs::exists(path("none")));
    EXPECT_EQ(desc_of(open(path("none-other"), "w")), "");
}

// What `apply` puts beside the policy, and the policy that was: from there it may come into force.
TEST_F(DeniedThings, WhatApplyLeavesBesideThePolicy) {
    for (const char* name :
         {"policy.toml.old", "policy.toml.new", "policy.toml.old.d/10.toml", "policy.toml.new.d/10.toml"}) {
        agent_.scratch().write(name, "schema = 1\n");
        expect_denied(path(name));
        fs::remove(path(name));
        expect_denied(path(name), {"w"});
        EXPECT_FALSE(fs::exists(path(name)));
    }
    EXPECT_EQ(desc_of(open(path("policy.toml.other"), "w")), "");
}

// One that is there, and one that is not there yet.
TEST(ProgramsOfRules, AreNotWrittenByTheHostThatMayStartThem) {
    Agent agent(AgentOptions{
        .policy = R"(schema = 1
[[allow]]
id = "tools"
commands = ["guest-exec"]
exec = [{ program = "$D/bin/there", args = [], run_as = "nobody" }, { program = "$D/bin/later", args = [], run_as = "nobody" }]
[[allow]]
id = "all"
commands = ["@file"]
files = [{ under = "/", access = ["read", "write", "create"], create_mode = "0755" }]
)",
        .prepare = [](const Scratch& scratch) { scratch.write("bin/there", "#!/bin/sh\n", 0755); }});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    const auto open = [&](const std::string& name, const std::string& mode) {
        const std::string path = agent.scratch().path("bin/" + name);
        return host.ask(
            command("guest-file-open", members({{"path", in_quotes(path)}, {"mode", in_quotes(mode)}})));
    };
    for (const char* name : {"there", "later"})
        for (const char* mode : {"w", "a", "r+"})
            EXPECT_NE(desc_of(open(name, mode)).find("Operation not permitted"), std::string::npos)
                << name << mode;
    EXPECT_EQ(read_file(agent.scratch().path("bin/there")), "#!/bin/sh\n");
    EXPECT_FALSE(fs::exists(agent.scratch().path("bin/later")));
    EXPECT_GE(handle_of(open("beside", "w")), 0) << "what is beside them is the rule's";
}

// As a backup by hard links makes them; what rotates meanwhile gets other names.
TEST_F(DeniedThings, SecondNamesOfWhatIsInTheStateDirectory) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(agent_.state()))
        names.push_back(entry.path().filename().string());
    EXPECT_GE(names.size(), 5U);
    for (const std::string& name : names) {
        fs::create_hard_link(agent_.state() + "/" + name, path("work/" + name));
        expect_denied(path("work/" + name));
    }
    // Made after the start, and another file than the one that had the name then.
    scratch_file(agent_.state() + "/audit.jsonl.1");
    scratch_file(agent_.state() + "/made");
    fs::rename(agent_.state() + "/made", agent_.state() + "/sallyport.frozen");
    for (const char* name : {"audit.jsonl.1", "sallyport.frozen"}) {
        fs::create_hard_link(agent_.state() + "/" + name, path("work/later-") + name);
        expect_denied(path("work/later-") + name);
    }
    fs::create_hard_link(path("work/file"), path("work/file-too"));
    EXPECT_EQ(desc_of(open(path("work/file-too"), "r+")), "");
}

TEST(HooksOfTheAgent, HaveNoOtherNameByWhichAHostOpensThem) {
    Agent agent(AgentOptions{.policy = R"(schema = 1
[[allow]]
id = "freeze"
commands = ["@freeze"]
freeze = { exclude = ["/var/cache"], max_frozen = "10s", hooks = "$D/hooks" }
[[allow]]
id = "copy"
commands = ["@file"]
files = [{ under = "$D/copy", access = ["read", "write"], links = "any" }]
)",
                             .prepare = [](const Scratch& scratch) {
                                 scratch.write("hooks/hook", "#!/bin/sh\n", 0755);
                                 scratch.write("copy/program", "#!/bin/sh\n", 0755);
                                 scratch.write("copy/mine", "mine");
                                 fs::create_symlink(scratch.path("copy/program"), scratch.path("hooks/link"));
                                 fs::create_hard_link(scratch.path("hooks/hook"), scratch.path("copy/hook"));
                                 fs::create_hard_link(scratch.path("copy/mine"), scratch.path("copy/too"));
                             }});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    const auto open = [&](const std::string& name) {
        return desc_of(host.ask(
            command("guest-file-open", R"({"mode":"r+","path":")" + agent.scratch().path(name) + "\"}")));
    };
    EXPECT_EQ(open("copy/too"), "");
    EXPECT_NE(open("copy/hook").find("Operation not permitted"), std::string::npos);
    EXPECT_NE(open("copy/program").find("Operation not permitted"), std::string::npos);
}

TEST(HooksOfTheAgent, AreNotMadeByAHost) {
    Agent agent(AgentOptions{.policy = R"(schema = 1
[[allow]]
id = "freeze"
commands = ["@freeze"]
freeze = { exclude = ["/var/cache"], max_frozen = "10s", hooks = "$D/hooks" }
[[allow]]
id = "all"
commands = ["@file"]
files = [{ under = "/", access = ["read", "write", "create"], create_mode = "0755" }]
)",
                             .prepare = [](const Scratch& scratch) { scratch.make_folder("hooks", 0755); }});
    ASSERT_TRUE(agent.is_serving());
    HostClient host = agent.connect();
    const std::string hook = agent.scratch().path("hooks/mine");
    const std::string request =
        command("guest-file-open", members({{"path", in_quotes(hook)}, {"mode", in_quotes("w")}}));
    EXPECT_NE(desc_of(host.ask(request)).find("Operation not permitted"), std::string::npos);
    EXPECT_FALSE(fs::exists(hook));
}

TEST_F(DeniedThings, DeniedDirectoryByAnotherName) {
    fs::rename(path("keys"), path("work/other"));
    expect_denied(path("work/other/key"));
    expect_denied(path("work/other/none"));
    EXPECT_EQ(desc_of(open(path("work/file"), "r")), "");
}

TEST_F(DeniedThings, ExistenceBehindALink) {
    for (const char* name : {"key", "none"}) {
        fs::create_symlink(path("keys") + "/" + name, path("work/to-") + name);
        expect_denied(path("work/to-") + name);
    }
}

struct OneTree : DeniedThings {
    OneTree()
        : DeniedThings(R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read", "write"] }]
)") {}
};

TEST_F(OneTree, LinkInThePlaceOfTheRulesDirectory) {
    fs::rename(path("work"), path("was"));
    fs::create_symlink("keys", path("work"));
    expect_denied(path("work/key"));
    expect_denied(path("work/none"));
}

TEST_F(OneTree, AgentDoesNotStartWithALinkOnTheWay) {
    Agent agent(AgentOptions{.policy = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/link/inbox", access = ["read"] }]
)",
                             .prepare = [](const Scratch& scratch) {
                                 scratch.make_folder("home/inbox");
                                 fs::create_symlink("home", scratch.path("link"));
                             }});
    EXPECT_FALSE(agent.is_serving());
    EXPECT_NE(agent.messages().find("policy.toml:2: rule 'work': " + agent.scratch().path("link/inbox") +
                                    ": a symbolic link is on the way to this directory"),
              std::string::npos)
        << agent.messages();
}

// A rule that ends soon: `expires` is a time of the clock, in seconds.
std::string policy_that_ends_in(std::time_t seconds) {
    const std::time_t end = std::time(nullptr) + seconds;
    std::tm parts{};
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", ::gmtime_r(&end, &parts));
    return std::string(R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read"] }]
expires = )") +
           text + R"(
[[allow]]
id = "uses"
commands = ["@file"]
files = [{ under = "$D/none", access = ["read"] }]
)";
}

struct ShortRule : DeniedThings {
    ShortRule() : DeniedThings(policy_that_ends_in(4)) {}
};

TEST_F(ShortRule, HandleEndsWithItsRule) {
    const std::string opened = open(path("work/file"), "r");
    const std::string handle = std::to_string(handle_of(opened));
    const std::string seek =
        command("guest-file-seek", R"({"handle":)" + handle + R"(,"offset":0,"whence":0})");
    EXPECT_EQ(desc_of(host_.ask(seek)), "");
    const std::size_t before = count_descriptors(agent_.broker().pid());
    const std::string gone = "handle '" + handle + "' has not been found";
    EXPECT_TRUE(eventually([&] { return desc_of(host_.ask(seek)) == gone; }));
    EXPECT_EQ(desc_of(host_.ask(command("guest-file-read", R"({"handle":)" + handle + "}"))), gone);
    EXPECT_EQ(desc_of(host_.ask(command("guest-file-close", R"({"handle":)" + handle + "}"))), gone);
    EXPECT_EQ(count_descriptors(agent_.broker().pid()), before - 1);
}

}  // namespace
}  // namespace sallyport::test
