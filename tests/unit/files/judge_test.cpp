// What the facts about an inode, and the kernel's words for where it lies, say about it.
#include "broker/files/judge.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>

#include "tests/unit/files/room.hpp"

namespace sallyport::files {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kSomebody = 12345;

TEST(Deleted, IsWhatTheKernelSaysOfANameThatIsGone) {
    EXPECT_TRUE(is_deleted("/srv/a (deleted)", "a"));
    EXPECT_FALSE(is_deleted("/srv/a", "a"));
    EXPECT_FALSE(is_deleted("/srv/a (deleted)", "a (deleted)"));
    EXPECT_TRUE(is_deleted("/srv/a (deleted) (deleted)", "a (deleted)"));
    EXPECT_TRUE(is_deleted("/srv/b (deleted)", "a (deleted)"));
}

struct InodeCase {
    const char* name;
    bool is_accepted;
    void (*change)(const fs::path& file, policy::FileRule& rule);
};

class Inode : public Room, public testing::WithParamInterface<InodeCase> {
protected:
    Inode() { scratch_.write("in/deep/file", "content"); }
};

TEST_P(Inode, IsJudgedByTheRule) {
    policy::FileRule& rule = allow("in");
    GetParam().change(path("in/deep/file"), rule);
    EXPECT_EQ(open("in/deep/file"), GetParam().is_accepted ? "=content" : "refused");
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
}  // namespace sallyport::files
