#include "broker/sys/files.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "scratch.hpp"

namespace sallyport::broker::sys {
namespace {

namespace fs = std::filesystem;

struct Tree : testing::Test {
    Tree() {
        fs::create_directories(scratch.path() / "in/deep");
        fs::create_directories(scratch.path() / "inside-out");
        scratch.write("in/deep/file", "content");
        scratch.write("secret", "secret");
        tree = UniqueFd(::open((scratch.path() / "in").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
    [[nodiscard]] int error_of(const std::string& below, Links links = Links::kRefuse) const {
        const auto found = find_beneath(tree, below, links);
        return found ? 0 : found.error().sys_errno;
    }
    ScratchDirectory scratch;
    UniqueFd tree;
    UniqueFd proc{::open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC)};
};

TEST_F(Tree, AFileBeneathIsFound) {
    EXPECT_EQ(error_of("deep/file"), 0);
}

TEST_F(Tree, DotDotDoesNotLeadOut) {
    EXPECT_EQ(error_of("../secret"), EXDEV);
}

TEST_F(Tree, AnAbsolutePathDoesNotLeadOut) {
    EXPECT_EQ(error_of("/etc/passwd"), EXDEV);
}

TEST_F(Tree, ALastComponentThatIsALinkIsRefused) {
    fs::create_symlink("deep/file", scratch.path() / "in/link");
    EXPECT_EQ(error_of("link"), ELOOP);
}

TEST_F(Tree, ADirectoryThatIsALinkIsRefused) {
    fs::create_directory_symlink("deep", scratch.path() / "in/way");
    EXPECT_EQ(error_of("way/file"), ELOOP);
}

TEST_F(Tree, WhereLinksAreFollowedTheyStillDoNotLeadOut) {
    fs::create_symlink("../secret", scratch.path() / "in/up");
    fs::create_symlink("/etc/passwd", scratch.path() / "in/away");
    fs::create_symlink("deep/file", scratch.path() / "in/stay");
    EXPECT_EQ(error_of("up", Links::kFollowBeneath), EXDEV);
    EXPECT_EQ(error_of("away", Links::kFollowBeneath), EXDEV);
    EXPECT_EQ(error_of("stay", Links::kFollowBeneath), 0);
}

TEST_F(Tree, AMagicLinkIsRefusedEvenWhereLinksAreFollowed) {
    const UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    const auto found = find_beneath(root, "proc/self/root/etc/passwd", Links::kFollowInRoot);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().sys_errno, ELOOP);
}

TEST_F(Tree, ReopenGivesTheInodeThatWasFoundThoughItsNameWentToAnother) {
    const auto found = find_beneath(tree, "deep/file", Links::kRefuse);
    ASSERT_TRUE(found);
    fs::rename(scratch.path() / "secret", scratch.path() / "in/deep/file");
    const auto file = reopen(proc, *found, {.wanted = {.read = true}});
    ASSERT_TRUE(file);
    std::array<std::byte, 16> text{};
    const auto got = read_full(*file, text);
    ASSERT_TRUE(got);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(text.data()), got->size), "content");
    EXPECT_TRUE(got->eof);
}

TEST_F(Tree, FindingAFileDoesNotTouchIt) {
    ASSERT_EQ(::mkfifo((scratch.path() / "in/pipe").c_str(), 0600), 0);
    EXPECT_EQ(error_of("pipe"), 0);
}

TEST_F(Tree, ANewFileHasExactlyTheBitsOfTheRuleWhateverTheUmask) {
    const mode_t before = ::umask(0777);
    const auto file = create(tree, "new", {.wanted = {.write = true}}, 0640);
    ::umask(before);
    ASSERT_TRUE(file);
    struct stat info{};
    ASSERT_EQ(::fstat(file->get(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0640U);
}

TEST_F(Tree, ADanglingLinkIsNoPlaceForANewFile) {
    fs::create_symlink("../planted", scratch.path() / "in/new");
    const auto file = create(tree, "new", {.wanted = {.write = true}}, 0600);
    ASSERT_FALSE(file);
    EXPECT_FALSE(fs::exists(scratch.path() / "planted"));
}

struct InodeCase {
    const char* name;
    bool is_accepted;
    void (*change)(const fs::path& file, policy::FileRule& rule);
};

class Inode : public Tree, public testing::WithParamInterface<InodeCase> {};

TEST_P(Inode, IsJudgedByTheRule) {
    policy::FileRule rule{.kinds = {.regular = true}};
    GetParam().change(scratch.path() / "in/deep/file", rule);
    const auto found = find_beneath(tree, "deep/file", Links::kRefuse);
    ASSERT_TRUE(found);
    EXPECT_EQ(is_acceptable(*found, rule), GetParam().is_accepted);
}

INSTANTIATE_TEST_SUITE_P(
    , Inode,
    testing::Values(
        InodeCase{"PlainFile", true, [](const auto&, auto&) {}},
        InodeCase{"SecondName", false,
                  [](const auto& file, auto&) { fs::create_hard_link(file, file.string() + "2"); }},
        InodeCase{"SecondNameWhereThatIsAllowed", true,
                  [](const auto& file, auto& rule) {
                      fs::create_hard_link(file, file.string() + "2");
                      rule.any_links = true;
                  }},
        InodeCase{"SetUserId", false, [](const auto& file, auto&) { ::chmod(file.c_str(), 04755); }},
        InodeCase{"SetGroupId", false, [](const auto& file, auto&) { ::chmod(file.c_str(), 02755); }},
        InodeCase{"OfTheSizeAllowed", true, [](const auto&, auto& rule) { rule.max_size = 7; }},
        InodeCase{"OneByteTooLarge", false, [](const auto&, auto& rule) { rule.max_size = 6; }},
        InodeCase{"OfAnotherOwner", false, [](const auto&, auto& rule) { rule.owners = {::geteuid() + 1}; }},
        InodeCase{"OfOneOfTheOwners", true,
                  [](const auto&, auto& rule) { rule.owners = {::geteuid() + 1, ::geteuid()}; }},
        InodeCase{"OfAnotherKind", false, [](const auto&, auto& rule) { rule.kinds = {.fifo = true}; }}),
    [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace sallyport::broker::sys
