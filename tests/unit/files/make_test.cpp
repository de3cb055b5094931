// What a file that is made is like, and what is none.
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "tests/unit/files/room.hpp"

namespace sallyport::files {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kSomebody = 12345;

class Made : public Room {
protected:
    Made() {
        scratch_.write("in/deep/file", "content");
        scratch_.write("in/file", "file");
    }
};

TEST_F(Made, ANewFileHasExactlyTheBitsOfTheRuleWhateverTheUmask) {
    allow("in", kAll).create_mode = 0640;
    const mode_t before = ::umask(0777);
    EXPECT_EQ(open("in/new", "w"), "opened");
    ::umask(before);
    EXPECT_EQ(fs::status(path("in/new")).permissions(), fs::perms(0640));
}

TEST_F(Made, ANewFileHasTheBitsOfARuleThatLetsFilesBeMade) {
    allow("in", {.read = true, .write = true}).create_mode = 0666;
    allow("in", kAll).create_mode = 0640;
    EXPECT_EQ(open("in/new", "w"), "opened");
    EXPECT_EQ(fs::status(path("in/new")).permissions(), fs::perms(0640));
}

TEST_F(Made, ANewFileBelowASetGroupIdDirectoryIsOfTheAgentsGroup) {
    allow("in", kAll).create_mode = 0660;
    ASSERT_EQ(::chown(path("in").c_str(), 0, kSomebody), 0);
    ASSERT_EQ(::chmod(path("in").c_str(), 02775), 0);
    EXPECT_EQ(open("in/new", "w"), "opened");
    struct stat info{};
    ASSERT_EQ(::stat(path("in/new").c_str(), &info), 0);
    EXPECT_EQ(info.st_gid, ::getegid());
    EXPECT_EQ(info.st_mode & 07777U, 0660U);
}

TEST_F(Made, ANewFileBelowADefaultAccessListHasNone) {
    // Version 2: the owner and group rwx, user 12345 rwx, mask rwx, others rwx.
    struct Entry {
        std::uint16_t tag, bits;
        std::uint32_t id;
    };
    struct {
        std::uint32_t version = 2;
        std::array<Entry, 5> entries{
            {{1, 7, ~0U}, {2, 7, kSomebody}, {4, 7, ~0U}, {16, 7, ~0U}, {32, 7, ~0U}}};
    } list;
    ASSERT_EQ(::setxattr(path("in").c_str(), "system.posix_acl_default", &list, sizeof list, 0), 0);
    allow("in", kAll).create_mode = 0660;
    EXPECT_EQ(open("in/new", "w"), "opened");
    EXPECT_EQ(::getxattr(path("in/new").c_str(), "system.posix_acl_access", nullptr, 0), -1);
    EXPECT_EQ(fs::status(path("in/new")).permissions(), fs::perms(0660));
}

TEST_F(Made, ASlashAtTheEndAsksForADirectory) {
    allow("in", kAll).kinds.directory = true;
    EXPECT_EQ(open("in/new/", "w"), "EISDIR");
    EXPECT_EQ(open("in/file/", "w"), "EISDIR");
    EXPECT_EQ(open("in/file/", "a"), "EISDIR");
    EXPECT_EQ(open("in/none/new/", "w"), "ENOENT");
    EXPECT_EQ(open("in/file/", "r"), "ENOTDIR");
    EXPECT_EQ(open("in/none/", "r"), "ENOENT");
    EXPECT_EQ(open("in/deep/", "r"), "opened");
    EXPECT_FALSE(fs::exists(path("in/new")));
    EXPECT_EQ(test::read_file(path("in/file")), "file");
}

}  // namespace
}  // namespace sallyport::files
