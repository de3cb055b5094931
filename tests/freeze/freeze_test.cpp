// Real file systems, frozen and thawed by a host's commands.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "tests/freeze/freezing.hpp"
#include "tests/support/audit.hpp"

namespace sallyport::test {
namespace {

class FreezesA : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(, FreezesA, testing::Values("ext4", "xfs", "btrfs"),
                         [](const auto& type) { return std::string(type.param); });

TEST_P(FreezesA, FileSystemWhoseWriterWaitsUntilTheThaw) {
    const auto systems = make_systems(1, GetParam());
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(status(host), "thawed");
    EXPECT_EQ(freeze(host), 1);
    EXPECT_EQ(status(host), "frozen");
    std::unique_ptr<Child> writer;
    EXPECT_TRUE(blocks_writers(systems[0]->point(), writer));
    EXPECT_EQ(thaw(host), 1);
    EXPECT_EQ(status(host), "thawed");
    EXPECT_EQ(writer->wait(), 0);
    EXPECT_EQ(agent.stop(), 0);
}

TEST(Freezing, FreezesWhatLiesOnAFileSystemBeforeIt) {
    const LoopFs outer({.name = "outer", .size = 64UL << 20U});
    const LoopFs inner({.name = "inner", .folder = "/mnt/outer", .size = 16UL << 20U});
    const LoopFs innermost({.name = "innermost", .folder = "/mnt/inner", .size = 4UL << 20U});
    Agent agent({.policy = freeze_policy("per_mount = \"3s\"")});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    const auto dirty = write_to(innermost.path("dirty"));
    EXPECT_EQ(dirty->wait(), 0);
    EXPECT_EQ(freeze(host), 3);
    EXPECT_EQ(thaw(host), 3);
    for (const LoopFs* system : {&outer, &inner, &innermost}) EXPECT_TRUE(is_writable(system->point()));
}

TEST(Freezing, CountsAFileSystemWithBindMountsOnce) {
    const auto systems = make_systems(1);
    const BindMount bind(systems[0]->point(), "/mnt/bound");
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(freeze(host), 1);
    std::unique_ptr<Child> writer;
    EXPECT_TRUE(blocks_writers("/mnt/bound", writer));
    EXPECT_EQ(thaw(host), 1);
    EXPECT_EQ(writer->wait(), 0);
}

TEST(Freezing, OfFiftyFileSystemsCountsThemAll) {
    const auto systems = make_systems(50);
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(freeze(host), 50);
    EXPECT_EQ(status(host), "frozen");
    EXPECT_EQ(thaw(host), 50);
    EXPECT_TRUE(all_are_writable(systems, milliseconds(10'000)));
}

// What is denied for ever has no row with the guard; the rules behind it have theirs all the same.
TEST(Freezing, IsByTheRuleThatAllowsItThoughARuleInFrontIsDeniedForEver) {
    const auto systems = make_systems(3);
    const auto rule = [](const std::string& id, const std::string& command, const std::string& point) {
        return "[[allow]]\nid = \"" + id + "\"\ncommands = [\"" + command + "\"]\nfreeze = { mounts = [\"" +
               point + "\"] }\n";
    };
    Agent agent({.policy = "schema = 1\n" + rule("trim", "guest-fstrim", "/mnt/fs0") +
                           rule("list", "guest-fsfreeze-freeze-list", "/mnt/fs1") +
                           rule("freeze", "guest-fsfreeze-freeze", "/mnt/fs2") +
                           "[[deny]]\nid = \"no-trim\"\ncommands = [\"guest-fstrim\"]\n"});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(class_of(ask(host, "guest-fstrim")), "CommandNotFound");
    const auto expect_frozen = [&](std::size_t frozen) {
        std::unique_ptr<Child> writer;
        EXPECT_TRUE(blocks_writers(systems[frozen]->point(), writer));
        for (std::size_t at = 0; at < systems.size(); ++at)
            EXPECT_TRUE(at == frozen || is_writable(systems[at]->point())) << at;
        EXPECT_EQ(thaw(host), 1);
        EXPECT_EQ(writer->wait(), 0);
    };
    EXPECT_EQ(freeze(host), 1);
    expect_frozen(2);
    ask(host, "guest-fsfreeze-freeze-list", "{\"mountpoints\":[\"/mnt/fs0\",\"/mnt/fs1\",\"/mnt/fs2\"]}");
    expect_frozen(1);
}

TEST(Freezing, OfAListTakesThoseThatItNamesAndThatThePolicyAllows) {
    const auto systems = make_systems(3);
    Agent agent({.policy = freeze_policy("exclude = [\"/mnt/fs2\"]")});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    const auto frozen = [&](const std::string& points) {
        const auto reply = ask(host, "guest-fsfreeze-freeze-list", "{\"mountpoints\":[" + points + "]}");
        const auto count = result_of(reply).to_number<std::int64_t>();
        EXPECT_EQ(thaw(host), count);
        return count;
    };
    EXPECT_EQ(frozen("\"/mnt/fs0\",\"/mnt/fs1\",\"/mnt/fs2\",\"/mnt/none\""), 2);
    EXPECT_EQ(frozen("\"/mnt/fs1\""), 1);
    EXPECT_EQ(frozen("\"/mnt/fs2\""), 0);
    EXPECT_EQ(frozen(""), 0);
    EXPECT_EQ(result_of(ask(host, "guest-fsfreeze-freeze-list")).to_number<std::int64_t>(), 2);
    EXPECT_EQ(thaw(host), 2);
    EXPECT_EQ(desc_of(ask(host, "guest-fsfreeze-freeze-list", "{\"mountpoints\":\"/\"}")),
              "Invalid parameter type for 'mountpoints', expected: array");
    EXPECT_EQ(desc_of(ask(host, "guest-fsfreeze-freeze-list", "{\"mountpoints\":[\"/\",1]}")),
              "Invalid parameter type for 'mountpoints[1]', expected: string");
}

// As the node of a cluster has them: hundreds of volumes with long names.
std::string volumes(std::size_t count) {
    std::string points;
    for (std::size_t at = 0; at < count; ++at) {
        const std::string number = std::to_string(at);
        const std::string name = std::string(36 - number.size(), '0') + number;
        points += "\"/mnt/pods/" + name + "/volumes/kubernetes.io~csi/pvc-" + name + "/mount\",";
    }
    return points;
}

TEST(Freezing, OfALongListTakesThoseThatItNames) {
    const auto systems = make_systems(2);
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    // In a frame, in more than one, and as many as a list may have.
    for (const std::size_t count :
         {std::size_t{1}, std::size_t{300}, std::size_t{400}, std::size_t{600}, std::size_t{2000}}) {
        const auto reply =
            ask(host, "guest-fsfreeze-freeze-list", "{\"mountpoints\":[" + volumes(count) + "\"/mnt/fs1\"]}");
        EXPECT_EQ(result_of(reply).to_number<std::int64_t>(), 1) << count;
        EXPECT_EQ(thaw(host), 1);
    }
    EXPECT_EQ(desc_of(ask(host, "guest-fsfreeze-freeze-list",
                          "{\"mountpoints\":[" + volumes(3000) + "\"/mnt/fs1\"]}")),
              "Parameter 'mountpoints' is too long");
    EXPECT_EQ(status(host), "thawed");
}

TEST(Freezing, OfAListOfAHundredThousandNamesIsQuick) {
    const auto systems = make_systems(50);
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    std::string points;
    for (int at = 0; at < 80'000; ++at) points += "\"\",";
    const auto reply =
        ask(host, "guest-fsfreeze-freeze-list", "{\"mountpoints\":[" + points + "\"/mnt/fs1\"]}");
    EXPECT_EQ(result_of(reply).to_number<std::int64_t>(), 1);
    EXPECT_EQ(thaw(host), 1);
}

TEST(Freezing, WhileFrozenAnswersTheFrozenSetAndRefusesTheRest) {
    const auto systems = make_systems(1);
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    ASSERT_EQ(freeze(host), 1);
    EXPECT_EQ(ask(host, "guest-ping"), "{\"return\": {}}");
    EXPECT_EQ(ask(host, "guest-sync", "{\"id\":5}"), "{\"return\": 5}");
    for (const char* refused : {"guest-fsfreeze-freeze", "guest-fstrim", "guest-fsfreeze-freeze-list"}) {
        const std::string reply = ask(host, refused);
        EXPECT_EQ(class_of(reply), "CommandNotFound") << reply;
        EXPECT_EQ(desc_of(reply),
                  "Command " + std::string(refused) + " has been disabled: the command is not allowed");
    }
    const auto enabled = [&] {
        std::size_t count = 0;
        const auto info = result_of(ask(host, "guest-info"));
        for (const auto& one : info.at("supported_commands").as_array())
            count += one.at("enabled").as_bool() ? 1U : 0U;
        return count;
    };
    EXPECT_EQ(enabled(), 6U);
    EXPECT_EQ(thaw(host), 1);
    EXPECT_EQ(enabled(), 9U);
}

TEST(Freezing, OfWhatSomebodyElseFrozeLeavesItAloneOrFailsAsThePolicySays) {
    const auto systems = make_systems(2);
    const UniqueFd other(::open("/mnt/fs0", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_EQ(::ioctl(other.get(), FIFREEZE, 0), 0);
    {
        Agent agent({.policy = freeze_policy()});
        ASSERT_TRUE(agent.is_serving()) << agent.messages();
        HostClient host = agent.connect();
        EXPECT_EQ(freeze(host), 1);
        EXPECT_EQ(thaw(host), 1);
    }
    {
        Agent agent({.policy = freeze_policy("already_frozen = \"fail\"")});
        ASSERT_TRUE(agent.is_serving()) << agent.messages();
        HostClient host = agent.connect();
        EXPECT_EQ(desc_of(ask(host, "guest-fsfreeze-freeze")),
                  "failed to freeze /mnt/fs0: Device or resource busy");
        EXPECT_EQ(status(host), "thawed");
        EXPECT_TRUE(is_writable("/mnt/fs1"));
        EXPECT_TRUE(eventually([&] { return agent.count_audit("errno", std::to_string(EBUSY)) == 1; }));
    }
    EXPECT_EQ(::ioctl(other.get(), FITHAW, 0), 0) << "it was thawed by the agent";
}

TEST(Freezing, WritesItsAuditLinesAfterTheThawAsOneChain) {
    const auto systems = make_systems(1);
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    ASSERT_EQ(freeze(host), 1);
    EXPECT_EQ(status(host), "frozen");
    EXPECT_EQ(agent.count_audit("what", "guest-fsfreeze-freeze"), 0U);
    EXPECT_EQ(thaw(host), 1);
    EXPECT_EQ(agent.count_audit("what", "guest-fsfreeze-freeze"), 1U);
    EXPECT_EQ(first_broken_link(audit_lines(agent.audit_file())), -1);
}

TEST(Trimming, TellsOfEachFileSystem) {
    const auto systems = make_systems(2);
    Agent agent({.policy = freeze_policy("mounts = [\"/mnt/fs0\", \"/mnt/fs1\"]")});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    const auto result = result_of(ask(host, "guest-fstrim"));
    const auto& paths = result.at("paths").as_array();
    ASSERT_EQ(paths.size(), 2U);
    EXPECT_EQ(paths[0].at("path"), "/mnt/fs1");
    for (const auto& path : paths)
        EXPECT_TRUE(path.as_object().contains("trimmed")) << boost::json::serialize(path);
}

TEST(Plan, IsShownByTheToolAsTheAgentMakesIt) {
    const LoopFs outer({.name = "outer", .size = 64UL << 20U});
    const LoopFs inner({.name = "inner", .folder = "/mnt/outer", .size = 16UL << 20U});
    const Scratch scratch;
    const std::string policy = scratch.write("policy.toml", freeze_policy());
    const auto shown =
        run({.words = {build_root() + "/policy/tool/verbs/sallyport-policy", "freeze-plan", policy}});
    EXPECT_EQ(shown.ending, 0) << shown.error;
    EXPECT_NE(shown.out.find("  1. /mnt/inner  ext4"), std::string::npos) << shown.out;
    EXPECT_NE(shown.out.find("  2. /mnt/outer  ext4"), std::string::npos) << shown.out;
    EXPECT_NE(shown.out.find("  not /proc  proc  proc: not a local file system, and not named"),
              std::string::npos);
}

TEST(Freezing, WithNothingToFreezeStaysThawed) {
    Agent agent({.policy = freeze_policy()});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    HostClient host = agent.connect();
    EXPECT_EQ(freeze(host), 0);
    EXPECT_EQ(status(host), "thawed");
    EXPECT_EQ(thaw(host), 0);
}

}  // namespace
}  // namespace sallyport::test
