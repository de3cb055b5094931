// On a kernel that has Landlock and was started without it, by tests/support/older_kernel.cpp: the agent says so and does not serve.
#include <gtest/gtest.h>

#include "tests/support/agent.hpp"
#include "tests/support/run_tool.hpp"

namespace sallyport::test {
namespace {

TEST(NoLandlock, EndsTheStartWithThatWord) {
    Agent agent({});
    EXPECT_EQ(agent.broker().wait(), 1);
    EXPECT_NE(agent.messages().find("sallyportd: landlock: the kernel does not offer it"), std::string::npos)
        << agent.messages();
    EXPECT_TRUE(agent.notifications().empty());
}

TEST(NoLandlock, IsNamedAmongThePrivileges) {
    const Said said = run_tool(build_root() + "/policy/tool/verbs/sallyport-policy", "/", "privileges");
    EXPECT_EQ(said.status, 0);
    EXPECT_TRUE(said.has("\nthis kernel\n  no Landlock: the agent does not serve here\n")) << said.text;
}

}  // namespace
}  // namespace sallyport::test
