// Second names elsewhere of what the agent's own folders contain, under a rule that accepts second names.
#include <filesystem>

#include "tests/unit/files/room.hpp"

namespace sallyport::files {
namespace {

namespace fs = std::filesystem;

class SecondName : public Room {
protected:
    SecondName() {
        scratch_.write("state/log", "line");
        scratch_.write("state/log.1", "line before");
        scratch_.write("hooks/hook", "hook");
        scratch_.write("elsewhere/program", "program");
        scratch_.write("elsewhere/mine", "mine");
        policy::FileRule& rule = allow("elsewhere", kChange);
        rule.any_links = true;
    }
    void begin() {
        ASSERT_TRUE(start({path("state"), path("state/log"), path("state/log.1"), path("state/log.2"),
                           path("hooks"), path("hooks/hook"), path("hooks/link")}));
    }
    // The second name of a file that is below the scratch folder.
    std::string second(const std::string& of, const std::string& name) const {
        fs::create_hard_link(path(of), path("elsewhere/" + name));
        return "elsewhere/" + name;
    }
};

TEST_F(SecondName, OfAFileInAFolderOfTheAgentsOwnIsRefused) {
    begin();
    EXPECT_EQ(open(second("state/log", "a")), "refused");
    EXPECT_EQ(open(second("hooks/hook", "b"), "r+"), "refused");
    EXPECT_EQ(open(second("elsewhere/mine", "c")), "=mine");
}

TEST_F(SecondName, OfWhatWasMadeOrReplacedAfterTheStartIsRefused) {
    begin();
    fs::rename(path("state/log.1"), path("state/log.2"));
    fs::rename(path("state/log"), path("state/log.1"));
    scratch_.write("state/log", "later");
    scratch_.write("hooks/new", "another");
    fs::rename(path("hooks/new"), path("hooks/hook"));
    EXPECT_EQ(open(second("state/log", "a")), "refused");
    EXPECT_EQ(open(second("state/log.1", "b")), "refused");
    EXPECT_EQ(open(second("state/log.2", "c")), "refused");
    EXPECT_EQ(open(second("hooks/hook", "d")), "refused");
}

TEST_F(SecondName, OfWhatHadOneAtTheStartIsRefusedWhenItsFirstNameHasGone) {
    const std::string name = second("state/log", "a");
    begin();
    EXPECT_EQ(open(name), "refused");
    fs::remove(path("state/log"));
    EXPECT_EQ(open(name), "refused");
}

// As ext4 gives them on.
TEST(OwnFile, ThatWasRemovedDoesNotLeaveItsDenialToTheOneThatGetsItsNumber) {
    const std::string path = "/none";
    const auto denied = [&](std::int64_t made_at_start, std::int64_t made_now) {
        const Id at_start{.device = 1, .inode = 2, .made_ns = made_at_start};
        const Forbidden forbidden({{.path = &path, .at_start = at_start, .is_inside = true}});
        return forbidden.rule_against({.device = 1, .inode = 2, .made_ns = made_now}).has_value();
    };
    EXPECT_TRUE(denied(5, 5));
    EXPECT_FALSE(denied(5, 6));
    EXPECT_TRUE(denied(0, 6)) << "when it was made was not known, so it may be the same one";
}

// A hook may be a link to a program that lies where a rule lets the host write.
TEST_F(SecondName, OfAProgramIsThatOfTheLinkThatLeadsThere) {
    fs::create_symlink(path("elsewhere/program"), path("hooks/link"));
    begin();
    EXPECT_EQ(open("elsewhere/program", "r+"), "refused");
    scratch_.write("elsewhere/new", "another");
    fs::rename(path("elsewhere/new"), path("elsewhere/program"));
    EXPECT_EQ(open("elsewhere/program", "r+"), "refused");
}

}  // namespace
}  // namespace sallyport::files
