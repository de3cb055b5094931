// Second names elsewhere of what the agent's own folders contain, under a rule that accepts second names.
#include <sys/mount.h>

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

// What is not there yet, by another way than the one by which it is denied.
class NotThereYet : public Room {
protected:
    NotThereYet() {
        scratch_.make_folder("tools", 0755);
        fs::create_symlink(path("tools"), path("link"));
        fs::create_symlink("tools/program", path("dangling"));
        allow("tools", kAll);
    }
    void expect_not_made(const std::string& name) {
        for (const char* mode : {"r", "r+", "a", "w"})
            EXPECT_EQ(open("tools/" + name, mode), "refused") << mode;
        EXPECT_FALSE(fs::exists(path("tools/" + name)));
        EXPECT_EQ(open("tools/beside", "w"), "opened");
        EXPECT_EQ(open("tools/none"), "ENOENT");
    }
};

TEST_F(NotThereYet, AFileOfTheAgentsOwnIsNotMadeWhereALinkInItsPathLeads) {
    ASSERT_TRUE(start({path("link/program")}));
    expect_not_made("program");
}

TEST_F(NotThereYet, AFileOfTheAgentsOwnIsNotMadeWhereALinkInItsPlaceLeads) {
    ASSERT_TRUE(start({path("dangling")}));
    expect_not_made("program");
}

TEST_F(NotThereYet, AFileOfTheAgentsOwnIsNotMadeWhereALinkThatCameLaterLeads) {
    ASSERT_TRUE(start({path("later")}));
    fs::create_symlink("link/program", path("later"));
    expect_not_made("program");
}

TEST_F(NotThereYet, WhatADenyRuleNamesIsNotMadeWhereALinkInItsPathLeads) {
    deny("link/secret");
    ASSERT_TRUE(start());
    expect_not_made("secret");
    const auto refusal = ask("tools/secret", "w");
    EXPECT_EQ(refusal.error().rule, 1U);
}

TEST_F(NotThereYet, WhatADenyRuleNamesIsNotMadeByAnotherMountOfItsDirectory) {
    leave_mounts();
    scratch_.make_folder("mounted", 0755);
    ASSERT_EQ(::mount(path("tools").c_str(), path("mounted").c_str(), nullptr, MS_BIND, nullptr), 0);
    deny("mounted/secret");
    ASSERT_TRUE(start());
    expect_not_made("secret");
    ::umount2(path("mounted").c_str(), MNT_DETACH);
}

// A local user turns his directory into a link, so that another one's files are not made.
TEST_F(NotThereYet, ALinkThatTookThePlaceOfADirectoryOfADenyRulesPathDeniesNothing) {
    scratch_.make_folder("plain", 0755);
    deny("plain/secret");
    ASSERT_TRUE(start());
    fs::remove(path("plain"));
    fs::create_symlink("tools", path("plain"));
    EXPECT_EQ(open("tools/secret", "w"), "opened");
}

}  // namespace
}  // namespace sallyport::files
