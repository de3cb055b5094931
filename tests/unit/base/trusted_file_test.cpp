// Which files are trusted: every place on the way is root's, or ours, and nobody else's.
#include "base/trusted_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "tests/support/cases.hpp"
#include "tests/support/process.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;
constexpr uid_t kOther = 12345;

void give(const std::string& path, uid_t user = kOther) {
    if (::lchown(path.c_str(), user, user) != 0) throw std::runtime_error("lchown " + path);
}

std::string read_end(const Checked<UniqueFd>& file) {
    std::array<char, 64> text{};
    const ssize_t got = file ? ::read(file->get(), text.data(), text.size()) : -1;
    return got < 0 ? "" : std::string(text.data(), static_cast<std::size_t>(got));
}

// One thing is done to a tree of root: outer/inner/file, and the path that is asked for, which is the file's if it is empty.
struct Change {
    const char* name;
    void (*make)(const Scratch& scratch);
    const char* path = "outer/inner/file";
    const char* place = nullptr;  // the place that the message names as well; "": none
};

void stick(const std::string& path, uid_t owner) {
    give(path, owner);
    ::chmod(path.c_str(), 01777);
}

const Change kAccepted[] = {
    {"AllOfRoot", [](const Scratch&) {}},
    {"StickyFolderThatAnybodyMayWrite", [](const Scratch& s) { stick(s.path("outer"), 0); }},
    {"LinkOfRoot", [](const Scratch& s) { fs::create_symlink(s.path("outer/inner/file"), s.path("link")); },
     "link"},
    {"RelativeLinkUpAndDown",
     [](const Scratch& s) { fs::create_symlink("../outer/./inner//file", s.path("outer/link")); },
     "outer/link"},
    {"LinkToAFolder", [](const Scratch& s) { fs::create_symlink("outer", s.path("link")); },
     "link/inner/file"},
    {"LinkToALink",
     [](const Scratch& s) {
         fs::create_symlink("second", s.path("first"));
         fs::create_symlink("outer/inner", s.path("second"));
     },
     "first/file"},
    {"SlashesAndDots", [](const Scratch&) {}, "outer//./inner/../inner/file"},
};

const Change kRefused[] = {
    {"FileOfAnother", [](const Scratch& s) { give(s.path("outer/inner/file")); }, "outer/inner/file", ""},
    {"FileThatTheGroupMayWrite", [](const Scratch& s) { ::chmod(s.path("outer/inner/file").c_str(), 0664); },
     "outer/inner/file", ""},
    {"FolderOfAnother", [](const Scratch& s) { give(s.path("outer/inner")); }, "outer/inner/file",
     "outer/inner"},
    {"FolderOfAnotherFarAbove", [](const Scratch& s) { give(s.path("outer")); }, "outer/inner/file", "outer"},
    {"FolderThatTheGroupMayWrite", [](const Scratch& s) { ::chmod(s.path("outer").c_str(), 0775); },
     "outer/inner/file", "outer"},
    {"FolderThatAnybodyMayWrite", [](const Scratch& s) { ::chmod(s.path("outer").c_str(), 0777); },
     "outer/inner/file", "outer"},
    {"StickyFolderOfAnother", [](const Scratch& s) { stick(s.path("outer"), kOther); }, "outer/inner/file",
     "outer"},
    {"FileOfAnotherInAStickyFolder",
     [](const Scratch& s) {
         stick(s.path("outer/inner"), 0);
         give(s.path("outer/inner/file"));
     },
     "outer/inner/file", ""},
    {"StickyFolderAsTheEnd", [](const Scratch& s) { stick(s.path("outer/inner"), 0); }, "outer/inner", ""},
    {"LinkOfAnother",
     [](const Scratch& s) {
         fs::create_symlink("outer/inner/file", s.path("link"));
         give(s.path("link"));
     },
     "link", ""},
    {"LinkInAFolderOfAnother",
     [](const Scratch& s) {
         s.make_folder("theirs");
         fs::create_symlink(s.path("outer/inner/file"), s.path("theirs/link"));
         give(s.path("theirs"));
     },
     "theirs/link", "theirs"},
    {"LinkOfRootThroughAFolderOfAnother",
     [](const Scratch& s) {
         s.make_folder("theirs");
         give(s.path("theirs"));
         fs::create_symlink("../outer", s.path("theirs/outer"));
         fs::create_symlink("theirs/outer", s.path("link"));
     },
     "link/inner/file", "theirs"},
    {"WayThroughAFolderOfAnotherAndBack",
     [](const Scratch& s) {
         s.make_folder("theirs");
         give(s.path("theirs"));
     },
     "theirs/../outer/inner/file", "theirs"},
    {"LinkToItself", [](const Scratch& s) { fs::create_symlink("loop", s.path("loop")); }, "loop", ""},
    {"WhatIsNotThere", [](const Scratch&) {}, "outer/none", ""},
    {"FolderThatIsNotThere", [](const Scratch&) {}, "none/file", "none"},
    {"FileAsAFolder", [](const Scratch&) {}, "outer/inner/file/more", ""},
};

class TrustedFile : public testing::TestWithParam<Change> {
protected:
    void SetUp() override {
        scratch_.write("outer/inner/file", "text");
        GetParam().make(scratch_);
    }
    Scratch scratch_;
};
class Accepted : public TrustedFile {};
class Refused : public TrustedFile {};

TEST_P(Accepted, IsOpenedAsAskedFor) {
    const auto file = open_trusted(scratch_.path(GetParam().path), O_RDONLY);
    EXPECT_EQ(read_end(file), "text") << (file ? "" : text_of(file.error()));
    EXPECT_EQ(read_end(open_trusted_below(scratch_.path(), GetParam().path, O_RDONLY)), "text");
}
INSTANTIATE_TEST_SUITE_P(, Accepted, testing::ValuesIn(kAccepted), case_name<Change>);

TEST_P(Refused, IsNotOpenedAndThePlaceIsNamed) {
    const std::string path = scratch_.path(GetParam().path);
    const auto file = open_trusted(path, O_RDONLY);
    ASSERT_FALSE(file);
    EXPECT_TRUE(file.error().about.starts_with(path)) << file.error().about;
    const std::string place = GetParam().place;
    EXPECT_EQ(file.error().about, place.empty() ? path : path + " (" + scratch_.path(place) + ")");
    EXPECT_FALSE(open_trusted_below(scratch_.path(), GetParam().path));
}
INSTANTIATE_TEST_SUITE_P(, Refused, testing::ValuesIn(kRefused), case_name<Change>);

TEST(TrustedFile, OfAnOrdinaryUserIsHisOwnOrRoots) {
    const Scratch scratch;
    scratch.make_folder("his");
    for (const char* name : {"his/own", "his/roots", "his/others"}) scratch.write(name, "text");
    give(scratch.path("his"));
    give(scratch.path("his/own"));
    give(scratch.path("his/others"), 54321);
    const auto opens = [&](const char* name) {
        return open_trusted(scratch.path(name), O_RDONLY).has_value();
    };
    Child child([&] {
        if (::setresuid(kOther, kOther, kOther) != 0) return 1;
        return opens("his/own") && opens("his/roots") && !opens("his/others") ? 0 : 2;
    });
    EXPECT_EQ(child.wait(), 0);
}

TEST(TrustedFile, BelowAFolderTheWayToThatFolderIsNotJudged) {
    const Scratch scratch;
    scratch.write("theirs/ours/file", "text");
    give(scratch.path("theirs"));
    const std::string ours = scratch.path("theirs/ours");
    EXPECT_TRUE(open_trusted_below(ours, "file"));
    EXPECT_FALSE(open_trusted_below(ours, "../ours/file")) << "the way leads through a folder of another";
    EXPECT_FALSE(open_trusted(scratch.path("theirs/ours/file")));
}

TEST(TrustedFile, RelativePathIsRefused) {
    EXPECT_EQ(open_trusted("etc/passwd").error().error.code, Errc::kInvalid);
    EXPECT_EQ(open_trusted("").error().error.code, Errc::kInvalid);
}

TEST(TrustedFile, IsOpenedByTheKindAskedFor) {
    EXPECT_TRUE(open_trusted("/etc", O_RDONLY | O_DIRECTORY));
    EXPECT_EQ(open_trusted("/etc/passwd", O_RDONLY | O_DIRECTORY).error().error.sys_errno, ENOTDIR);
}

}  // namespace
}  // namespace sallyport::test
