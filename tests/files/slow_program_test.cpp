// A program that a host starts, and whose start waits for a server that does not answer: it cannot be killed.
#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <filesystem>

#include "ipc/limits.hpp"
#include "tests/files/fuse_server.hpp"
#include "tests/support/agent.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

constexpr milliseconds kDeadline{kExecStartNs / 1'000'000 + 10'000};
constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "probe"
commands = ["@exec"]
exec = [{ program = "$D/probe", args = [], run_as = "root" }]
)";

void prepare(const Scratch& scratch) {
    scratch.write("probe", "#!" + scratch.path("slow/file") + "\n");
    fs::permissions(scratch.path("probe"), fs::perms{0755});
    scratch.make_folder("slow");
}

TEST(AProgramThatIsNotExecutedInTime, CountsUntilNothingOfItIsLeft) {
    Agent agent({.policy = kPolicy, .prepare = prepare});
    ASSERT_TRUE(agent.is_serving()) << agent.messages();
    FuseServer server(agent.scratch().path("slow"), FUSE_LOOKUP);
    HostClient host = agent.connect();
    const std::string start =
        command("guest-exec", members({{"path", in_quotes(agent.scratch().path("probe"))}}));
    const auto failure = [&] { return desc_of(host.ask(start, kDeadline)); };
    EXPECT_NE(failure().find("timed out"), std::string::npos);
    const std::string refused = failure();
    EXPECT_NE(refused.find("Resource temporarily unavailable"), std::string::npos) << refused;
    server.release();
    EXPECT_TRUE(eventually([&] { return failure().find("No such file") != std::string::npos; }));
}

}  // namespace
}  // namespace sallyport::test
