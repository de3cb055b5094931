// What the room opens and makes, and what it refuses: links, denials, kinds of file, the agent's own.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "broker/files/use.hpp"
#include "tests/support/process.hpp"
#include "tests/unit/files/room.hpp"

namespace sallyport::files {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kSomebody = 12345;

class Tree : public Room {
protected:
    Tree() {
        scratch_.write("in/deep/file", "content");
        scratch_.write("in/file", "file");
        scratch_.write("out/secret", "secret");
        scratch_.write("other/file", "of the other tree");
    }
    void link(const std::string& name, const std::string& target) const {
        fs::create_symlink(target, path(name));
    }
};

TEST_F(Tree, AFileBelowIsOpenedAndOneThatIsNotThereIsMissing) {
    allow("in");
    EXPECT_EQ(open("in/deep/file"), "=content");
    EXPECT_EQ(open("in/deep/none"), "ENOENT");
    EXPECT_EQ(open("in/none/none"), "ENOENT");
    EXPECT_EQ(open("in/file/none"), "ENOTDIR");
}

TEST_F(Tree, LinksBelowARuleThatRefusesThemAreRefusedWhateverTheyLeadTo) {
    allow("in");
    link("in/inside", "deep/file");
    link("in/outside", path("out/secret"));
    link("in/nowhere", "none");
    link("in/folder", "deep");
    for (const char* name : {"in/inside", "in/outside", "in/nowhere", "in/folder/file", "in/folder/none"})
        EXPECT_EQ(open(name), "refused") << name;
}

struct Way {
    const char* name;
    const char* from;    // a link, below the scratch folder
    const char* target;  // $D is the scratch folder
    const char* asked;
    const char* seen;
};

class Followed : public Tree, public testing::WithParamInterface<Way> {};

TEST_P(Followed, LinkLeadsWhereTheHostCouldHaveGoneItself) {
    allow("in").follow_symlinks = true;
    allow("other");
    deny("in/denied");
    deny("in/gone");
    scratch_.write("in/denied/key", "key");
    link("out/back", path("in/file"));
    link("other/on", path("in/file"));
    link("in/chain", "to-the-end");
    link("in/to-the-end", path("in/deep"));
    link("in/denied-folder", "denied");
    std::string target = GetParam().target;
    if (const auto at = target.find("$D"); at != target.npos) target.replace(at, 2, scratch_.path());
    link(GetParam().from, target);
    EXPECT_EQ(open(GetParam().asked), GetParam().seen);
}

// clang-format off
const Way kWays[] = {
    {"Relative",              "in/l", "deep/file",          "in/l",          "=content"},
    {"RelativeFolder",        "in/l", "deep",               "in/l/file",     "=content"},
    {"UpAndDown",             "in/deep/l", "../file",       "in/deep/l",     "=file"},
    {"UpBehindAnotherLink",   "in/l", "to-the-end/../file", "in/l",          "=file"},
    {"OutAndBackIn",          "in/l", "../in/file",         "in/l",          "=file"},
    {"Absolute",              "in/l", "$D/in/deep/file",    "in/l",          "=content"},
    {"AbsoluteFolder",        "in/l", "$D/in/deep",         "in/l/file",     "=content"},
    {"LinkToALink",           "in/l", "chain",              "in/l/file",     "=content"},
    {"IntoAnotherAllowedTree", "in/l", "$D/other/file",     "in/l",          "=of the other tree"},
    {"RelativeIntoAnotherAllowedTree", "in/l", "../other",  "in/l/file",     "=of the other tree"},
    {"MissingInside",         "in/l", "none",               "in/l",          "ENOENT"},
    {"MissingInAnotherTree",  "in/l", "$D/other/none",      "in/l",          "ENOENT"},
    {"LinkOfATreeThatRefusesLinks", "in/l", "$D/other/on",  "in/l",          "refused"},
    {"Outside",               "in/l", "$D/out/secret",      "in/l",          "refused"},
    {"OutsideAndMissing",     "in/l", "$D/out/none",        "in/l",          "refused"},
    {"FolderOutside",         "in/l", "$D/out",             "in/l/secret",   "refused"},
    {"FolderOutsideAndMissing", "in/l", "$D/none",          "in/l/none",     "refused"},
    {"OutsideByManyUps",      "in/l", "../../../../../../../../etc/passwd", "in/l", "refused"},
    {"ThroughOutside",        "in/l", "$D/out/back",        "in/l",          "refused"},
    {"OutsideThroughADirectoryAndBack", "in/l", "$D/out/../in/file", "in/l", "refused"},
    {"Denied",                "in/l", "denied/key",         "in/l",          "refused"},
    {"DeniedAndMissing",      "in/l", "denied/none",        "in/l",          "refused"},
    {"DeniedFolderThatIsMissing", "in/l", "gone/none",      "in/l",          "refused"},
    {"DeniedFolder",          "in/l", "$D/in/denied",       "in/l/key",      "refused"},
    {"DeniedByTwoLinks",      "in/l", "denied-folder/key",  "in/l",          "refused"},
    {"UpFromADeniedFolder",   "in/l", "denied/../file",     "in/l",          "refused"},
    {"Itself",                "in/l", "l",                  "in/l",          "ELOOP"},
    {"ItselfAsAFolder",       "in/l", "$D/in/l/x",          "in/l/y",        "ELOOP"},
    {"TheRootDirectory",      "in/l", "/",                  "in/l/etc/passwd", "refused"},
    {"AFileAsAFolder",        "in/l", "file",               "in/l/x",        "ENOTDIR"},
    {"MagicRoot",             "in/l", "/proc/self/root",    "in/l/etc/passwd", "refused"},
    {"MagicDescriptor",       "in/l", "/proc/self/fd/0",    "in/l",          "refused"},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(, Followed, testing::ValuesIn(kWays),
                         [](const auto& one) { return std::string(one.param.name); });

TEST_F(Tree, WhereEverythingIsAllowedNoLinkOfAProcfsIsFollowed) {
    allow("/").follow_symlinks = true;
    link("in/passwd", "/etc/passwd");
    EXPECT_EQ(open("in/passwd").substr(0, 5), "=root");
    EXPECT_EQ(open("/proc/self/root/etc/passwd"), "refused");
    EXPECT_EQ(open("/proc/mounts"), "refused");
    const auto link_itself = ask("/proc/self", "r");
    ASSERT_FALSE(link_itself);
    EXPECT_STREQ(link_itself.error().why, "a link of a procfs") << "it is not walked on";
    EXPECT_EQ(open("/dev/fd/0"), "refused");
}

TEST_F(Tree, InADirectoryForAllNoLinkOfAnotherUserIsFollowed) {
    allow("in").follow_symlinks = true;
    link("in/theirs", "file");
    ASSERT_EQ(::lchown(path("in/theirs").c_str(), kSomebody, kSomebody), 0);
    EXPECT_EQ(open("in/theirs"), "=file");
    ASSERT_EQ(::chmod(path("in").c_str(), 01777), 0);
    EXPECT_EQ(open("in/theirs"), "EACCES");
    ASSERT_EQ(::chown(path("in").c_str(), kSomebody, kSomebody), 0);
    EXPECT_EQ(open("in/theirs"), "=file");  // the directory's owner may
}

TEST_F(Tree, TheRuleForThePlaceWhereALinkLeadsMustAcceptTheFileToo) {
    allow("in").follow_symlinks = true;
    allow("other").max_size = 3;
    link("in/l", path("other/file"));
    EXPECT_EQ(open("in/l"), "refused");
}

TEST_F(Tree, TheRuleOfALinkMustAcceptTheFileToo) {
    policy::FileRule& rule = allow("in");
    rule.follow_symlinks = true;
    rule.max_size = 3;
    allow("other");
    link("in/l", path("other/file"));
    EXPECT_EQ(open("in/l"), "refused");
    EXPECT_EQ(open("other/file"), "=of the other tree");
}

TEST_F(Tree, TheRuleForThePlaceWhereALinkLeadsGivesTheTerms) {
    policy::FileRule& rule = allow("in", kAll);
    rule.follow_symlinks = true;
    rule.max_size = 1000;
    allow("other", kAll).max_size = 100;
    link("in/l", path("other/file"));
    link("in/folder", "../other");
    for (const auto& [asked, mode, place] :
         {std::array{"in/l", "r", "other/file"}, std::array{"in/folder/file", "r+", "other/file"},
          std::array{"in/folder/new", "w", "other/new"}}) {
        const auto opened = ask(asked, mode);
        ASSERT_TRUE(opened) << asked;
        EXPECT_EQ(opened->grant.rule, 1U) << asked;
        EXPECT_EQ(opened->grant.terms.max_size, 100U) << asked;
        EXPECT_EQ(opened->place, path(place)) << asked;
        EXPECT_TRUE(opened->is_regular) << asked;
    }
    const auto opened = ask("in/file", "r");
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->grant.rule, 0U);
    EXPECT_EQ(opened->grant.terms.max_size, 1000U);
    EXPECT_EQ(opened->place, "");
}

TEST_F(Tree, ALinkOnTheWayToARulesDirectoryStopsTheStartAndIsNamedWithItsRule) {
    link("way", "in");
    allow("way/deep");
    const auto started = start();
    ASSERT_FALSE(started);
    EXPECT_EQ(text_of(started.error()).find("policy.toml:1: rule 'rule-1': " + path("way/deep")), 0U)
        << text_of(started.error());
}

TEST_F(Tree, ALinkThatTakesThePlaceOfARulesDirectoryIsNotFollowed) {
    for (const bool follows : {false, true}) {
        allow("in").follow_symlinks = follows;
        allow("in/deep").follow_symlinks = follows;
    }
    ASSERT_TRUE(start());
    fs::rename(path("in"), path("was"));
    link("in", "out");
    EXPECT_EQ(open("in/secret"), "refused");
    EXPECT_EQ(open("in/none"), "refused");
    EXPECT_EQ(open("in/deep/file"), "refused");
}

TEST_F(Tree, ADirectoryThatIsMadeAnewOrComesLaterIsSeen) {
    allow("in");
    allow("later/below");
    ASSERT_TRUE(start());
    fs::remove_all(path("in"));
    EXPECT_EQ(open("in/file"), "ENOENT");
    scratch_.write("in/file", "again");
    scratch_.write("later/below/file", "late");
    EXPECT_EQ(open("in/file"), "=again");
    EXPECT_EQ(open("later/below/file"), "=late");
}

class Denied : public Tree {
protected:
    Denied() {
        scratch_.write("in/keys/key", "key");
        scratch_.write("in/keys/sub/key", "key");
        allow("in", kAll);
        deny("in/keys");
    }
    void expect_denied(const std::string& name) {
        for (const char* mode : {"r", "r+", "w", "a"}) {
            EXPECT_EQ(open(name + "/key", mode), "refused") << name << " " << mode;
            EXPECT_EQ(open(name + "/sub/key", mode), "refused") << name << " " << mode;
            EXPECT_EQ(open(name + "/none", mode), "refused") << name << " " << mode;
            EXPECT_EQ(open(name + "/none/none", mode), "refused") << name << " " << mode;
            EXPECT_EQ(open(name + "/key/none", mode), "refused") << name << " " << mode;
        }
        EXPECT_FALSE(fs::exists(path(name + "/none")));
    }
};

TEST_F(Denied, DirectoryThatWasRenamedStaysDenied) {
    ASSERT_TRUE(start());
    fs::rename(path("in/keys"), path("in/other"));
    expect_denied("in/other");
}

TEST_F(Denied, DirectoryThatWasMovedDeeperStaysDenied) {
    ASSERT_TRUE(start());
    fs::create_directories(path("in/a/b"));
    fs::rename(path("in/keys"), path("in/a/b/c"));
    expect_denied("in/a/b/c");
}

TEST_F(Denied, DirectoryThatTookThePlaceAndWasMovedWithItIsDeniedToo) {
    ASSERT_TRUE(start());
    fs::rename(path("in/keys"), path("in/first"));
    scratch_.write("in/keys/key", "new");
    scratch_.write("in/keys/sub/key", "new");
    fs::create_directory(path("in/deeper"));
    expect_denied("in/keys");
    expect_denied("in/first");
}

TEST_F(Denied, ARuleThatIsWrittenThroughALinkDeniesTheDirectoryItself) {
    link("way", "in/deep");
    deny("way");
    EXPECT_EQ(open("in/deep/file"), "refused");
    EXPECT_EQ(open("in/deep/none", "w"), "refused");
    fs::remove(path("way"));
    EXPECT_EQ(open("in/deep/file"), "refused");  // as it was at the start
    EXPECT_EQ(open("in/file"), "=file");
}

TEST_F(Denied, ARuleThroughALinkThatWasTurnedDeniesBothPlaces) {
    link("way", "in/deep");
    deny("way");
    ASSERT_TRUE(start());
    fs::remove(path("way"));
    scratch_.write("in/now/file", "now");
    link("way", "in/now");
    EXPECT_EQ(open("in/deep/file"), "refused");
    EXPECT_EQ(open("in/now/file"), "refused");
}

TEST_F(Denied, AFileThatWasRenamedStaysDeniedAndItsNeighbourDoesNot) {
    deny("in/file");
    ASSERT_TRUE(start());
    fs::rename(path("in/file"), path("in/renamed"));
    EXPECT_EQ(open("in/renamed"), "refused");
    EXPECT_EQ(open("in/renamed", "w"), "refused");
    EXPECT_EQ(open("in/deep/file"), "=content");
}

TEST_F(Denied, ASecondNameOfADeniedFileIsDeniedWhereSecondNamesAreAccepted) {
    policy_.rules.front().files.front().any_links = true;
    deny("in/file");
    fs::create_hard_link(path("in/file"), path("in/deep/second"));
    EXPECT_EQ(open("in/deep/second"), "refused");
}

TEST_F(Denied, ADenialOfNewFilesAloneFollowsTheDirectoryToo) {
    deny("in/deep", {.create = true});
    ASSERT_TRUE(start());
    fs::rename(path("in/deep"), path("in/moved"));
    EXPECT_EQ(open("in/moved/file"), "=content");
    EXPECT_EQ(open("in/moved/file", "r+"), "opened");
    EXPECT_EQ(open("in/moved/new", "w"), "refused");
    EXPECT_FALSE(fs::exists(path("in/moved/new")));
}

TEST_F(Denied, ANewFileThatADenialOfNewFilesNamesIsNotMade) {
    allow("in", kAll);
    deny("in/new", {.create = true});
    EXPECT_EQ(open("in/new"), "ENOENT");
    EXPECT_EQ(open("in/new", "w"), "refused");
    EXPECT_FALSE(fs::exists(path("in/new")));
    scratch_.write("in/new", "is there");
    EXPECT_EQ(open("in/new", "r+"), "opened");
}

TEST_F(Denied, ARefusalNamesTheRuleThatDenies) {
    ASSERT_TRUE(start());
    fs::rename(path("in/keys"), path("in/other"));
    const auto refusal = ask("in/other/key", "r");
    ASSERT_FALSE(refusal);
    EXPECT_EQ(refusal.error().rule, 1U);
}

TEST_F(Tree, WhatIsGrantedLiesAboveTheRulesDirectoryWhereNothingIsMountedLater) {
    for (const char* under : {"/var/lib/some/where", "/var", "/mnt/disk", "/nowhere/at/all", "/"})
        allow(under);
    ASSERT_TRUE(start());
    sandbox::FilesNeeds needs = needs_of(policy_, *look_at_rules(policy_));
    std::vector<UniqueFd> kept;
    ASSERT_TRUE(open_trees(needs, kept));
    std::vector<std::string> paths;
    for (const auto& tree : needs.trees) paths.push_back(tree.path);
    EXPECT_EQ(paths, (std::vector<std::string>{"/var", "/", "/", "/", "/"}));
}

TEST_F(Tree, AWayThatOnlyItsOwnerCanGoIsANeed) {
    const auto needs_capability = [this] {
        return needs_of(policy_, *look_at_rules(policy_)).others_directories;
    };
    allow("in/deep").owners = {::geteuid()};
    ASSERT_TRUE(start());
    EXPECT_FALSE(needs_capability());
    ASSERT_EQ(::chmod(path("in").c_str(), 0700), 0);
    EXPECT_FALSE(needs_capability());
    ASSERT_EQ(::chown(path("in").c_str(), kSomebody, kSomebody), 0);
    EXPECT_TRUE(needs_capability());
}

TEST_F(Denied, AnExpiredDenialDeniesNothing) {
    policy_.rules.back().expires = 500;
    EXPECT_EQ(open("in/keys/key"), "=key");
}

TEST_F(Denied, WhatIsTheAgentsOwnIsDeniedToEveryRule) {
    scratch_.write("state/audit.jsonl", "line");
    scratch_.write("policy.toml", "schema = 1");
    policy::FileRule& all = allow("/", kAll);
    all.follow_symlinks = all.any_links = true;
    link("in/log", path("state/audit.jsonl"));
    ASSERT_TRUE(start({path("state"), path("policy.toml")}));
    fs::create_hard_link(path("policy.toml"), path("in/second"));
    for (const char* name :
         {"state/audit.jsonl", "state/none", "policy.toml", "in/log", "in/second", "in/../state/audit.jsonl"})
        for (const char* mode : {"r", "a", "w"})
            EXPECT_EQ(open(name, mode), "refused") << name << " " << mode;
    fs::rename(path("state"), path("in/moved"));
    EXPECT_EQ(open("in/moved/audit.jsonl"), "refused");
    fs::rename(path("policy.toml"), path("in/policy"));
    scratch_.write("policy.toml", "another");
    fs::create_hard_link(path("policy.toml"), path("in/third"));
    EXPECT_EQ(open("in/policy"), "refused");
    EXPECT_EQ(open("in/third"), "refused");
    EXPECT_EQ(test::read_file(path("in/moved/audit.jsonl")), "line");
}

// Such as a log file, or a folder of hooks, that is made later.
TEST_F(Tree, WhatIsTheAgentsOwnAndIsNotThereYetIsNotToldToBeMissing) {
    policy::FileRule& rule = allow("in", kAll);
    rule.follow_symlinks = true;
    link("in/l", path("in/own"));
    link("in/folder", path("in/hooks"));
    ASSERT_TRUE(start({path("in/own"), path("in/hooks")}));
    for (const char* name : {"in/own", "in/l", "in/hooks/hook", "in/folder/hook"})
        for (const char* mode : {"r", "a", "w"})
            EXPECT_EQ(open(name, mode), "refused") << name << " " << mode;
    EXPECT_FALSE(fs::exists(path("in/own")));
}

TEST_F(Tree, ADanglingLinkIsNoPlaceForANewFileAlsoWhereLinksAreFollowed) {
    allow("in", kAll).follow_symlinks = true;
    allow("other", kAll);
    link("in/here", "deep/made");
    link("in/there", path("other/made"));
    link("in/out", path("out/made"));
    EXPECT_EQ(open("in/here", "w"), "ENOENT");
    EXPECT_EQ(open("in/there", "a"), "ENOENT");
    EXPECT_EQ(open("in/out", "w"), "refused");
    for (const char* made : {"in/deep/made", "other/made", "out/made"}) EXPECT_FALSE(fs::exists(path(made)));
}

TEST_F(Tree, ABlockDeviceIsRefusedBesideADenialUnlessTheRuleIsAboutDevices) {
    allow("in", kAll).kinds.block_device = true;
    deny("in/keys");
    ASSERT_EQ(::mknod(path("in/disk").c_str(), S_IFBLK | 0600, ::makedev(60, 0)), 0);
    EXPECT_EQ(open("in/disk", "r+"), "refused");
}

TEST_F(Tree, ABlockDeviceWithoutADenialIsWhatItIs) {
    allow("in", kAll).kinds.block_device = true;
    ASSERT_EQ(::mknod(path("in/disk").c_str(), S_IFBLK | 0600, ::makedev(60, 0)), 0);
    EXPECT_EQ(open("in/disk", "r+"), "ENXIO");
}

TEST_F(Tree, AChainOfLinksIsAsLongAsTheKernelsAndNoLonger) {
    allow("in").follow_symlinks = true;
    link("in/1", "file");
    for (int at = 2; at <= 41; ++at) link("in/" + std::to_string(at), std::to_string(at - 1));
    EXPECT_EQ(open("in/40"), "=file");
    EXPECT_EQ(open("in/41"), "ELOOP");
}

TEST_F(Tree, ALinkOfManyStepsUpEndsAnOpenEarly) {
    allow("in").follow_symlinks = true;
    std::string target;
    for (int step = 0; step < 65; ++step) target += "../in/";
    link("in/up", target + "file");
    link("in/few", "../in/../in/file");
    EXPECT_EQ(open("in/up"), "ELOOP");
    EXPECT_EQ(open("in/few"), "=file");
}

TEST_F(Tree, ADeniedFolderThatBecomesALinkDeniesNothingElse) {
    allow("in");
    deny("in/deep");
    ASSERT_TRUE(start());
    fs::rename(path("in/deep"), path("in/moved"));
    fs::create_symlink("/", path("in/deep"));
    EXPECT_EQ(open("in/file"), "=file");
    EXPECT_EQ(open("in/deep/etc/passwd"), "refused");
}

TEST_F(Tree, AFolderBehindALinkIsAPlaceForANewFile) {
    allow("in", kAll).follow_symlinks = true;
    allow("other", kAll).create_mode = 0640;
    link("in/there", path("other"));
    EXPECT_EQ(open("in/there/made", "w"), "opened");
    EXPECT_EQ(fs::status(path("other/made")).permissions(), fs::perms(0640));
}

TEST_F(Tree, ADanglingLinkIsNoPlaceForANewFileWhereLinksAreRefused) {
    allow("in", kAll);
    link("in/here", "deep/made");
    EXPECT_EQ(open("in/here", "w"), "refused");
    EXPECT_FALSE(fs::exists(path("in/deep/made")));
}

TEST_F(Tree, AFileThatGrowsIsReadUpToItsRulesSizeAndWhatIsBehindIsRefused) {
    allow("in").max_size = 4;
    const UniqueFd file = opened("in/file", "r");
    std::array<std::byte, 8> bytes{};
    auto got = read_full(file, bytes, {.most = 4});
    ASSERT_TRUE(got);
    EXPECT_EQ(got->size, 4U);
    EXPECT_TRUE(got->eof);
    scratch_.write("in/file", "file and more");
    got = read_full(file, bytes, {.most = 4});
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().sys_errno, EFBIG);
    ASSERT_TRUE(seek(file, 2, 0));
    got = read_full(file, bytes, {.most = 4});
    ASSERT_TRUE(got);
    EXPECT_EQ(got->size, 2U);
    EXPECT_FALSE(got->eof);
}

TEST_F(Tree, FindingAFifoDoesNotOpenIt) {
    allow("in");
    ASSERT_EQ(::mkfifo(path("in/fifo").c_str(), 0600), 0);
    EXPECT_EQ(open("in/fifo"), "refused");
}

TEST_F(Tree, AFifoThatTheRuleAcceptsIsOpenedThoughNobodyIsAtItsOtherEnd) {
    allow("in", kChange).kinds = {.fifo = true};
    ASSERT_EQ(::mkfifo(path("in/fifo").c_str(), 0600), 0);
    test::Child opener([this] { return open("in/fifo") == "=" ? 0 : 1; });
    EXPECT_EQ(opener.wait(), 0) << "it waits, or is refused";
}

TEST_F(Tree, AFileWhoseNameEndsAsADeletedOnesIsOpened) {
    scratch_.write("in/a (deleted)", "alive");
    allow("in");
    EXPECT_EQ(open("in/a (deleted)"), "=alive");
}

}  // namespace
}  // namespace sallyport::files
