// One form of every path: what the policy judges is what the broker opens.
#include "policy/guest_path.hpp"

#include <gtest/gtest.h>

#include "ipc/limits.hpp"

namespace sallyport::policy {
namespace {

struct Form {
    const char* name;
    const char* raw;
    const char* start;
    const char* expected;
};
void PrintTo(const Form& form, std::ostream* out) {
    *out << form.name;
}

class GuestPathForm : public testing::TestWithParam<Form> {};

TEST_P(GuestPathForm, IsTheOneForm) {
    const auto path = GuestPath::parse(GetParam().raw, GetParam().start);
    ASSERT_TRUE(path);
    EXPECT_EQ(path->text(), GetParam().expected);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(, GuestPathForm, testing::Values(
    Form{"Plain",                        "/etc/passwd",            "/",         "/etc/passwd"},
    Form{"Root",                         "/",                      "/",         "/"},
    Form{"ManySlashesAreOne",            "//etc///passwd",         "/",         "/etc/passwd"},
    Form{"SlashAtTheEndGoes",            "/etc/",                  "/",         "/etc"},
    Form{"DotGoes",                      "/./etc/./passwd/.",      "/",         "/etc/passwd"},
    Form{"DotDotTakesTheOneBefore",      "/srv/export/../secret",  "/",         "/srv/secret"},
    Form{"DotDotTakesSeveral",           "/a/b/c/../../d",         "/",         "/a/d"},
    Form{"DotDotAboveRootIsRoot",        "/../../etc",             "/",         "/etc"},
    Form{"DotDotAtTheEnd",               "/srv/export/..",         "/",         "/srv"},
    Form{"OnlyDotDot",                   "/..",                    "/",         "/"},
    Form{"ThreeDotsAreAName",            "/a/.../b",               "/",         "/a/.../b"},
    Form{"DotsInNamesStay",              "/a..b/.c/d.",            "/",         "/a..b/.c/d."},
    Form{"RelativeBelowStart",           "log/x",                  "/var",      "/var/log/x"},
    Form{"RelativeBelowRoot",            "etc",                    "/",         "/etc"},
    Form{"RelativeClimbsOutOfStart",     "../etc",                 "/var/lib",  "/var/etc"},
    Form{"RelativeDotIsStart",           ".",                      "/var/lib",  "/var/lib"},
    Form{"RelativeClimbsAboveRoot",      "../../../etc",           "/var",      "/etc"},
    Form{"AbsoluteForgetsStart",         "/etc",                   "/var/lib",  "/etc"},
    Form{"BytesThatAreNoTextStay",       "/\xff\xfe/\n",           "/",         "/\xff\xfe/\n"},
    Form{"BackslashIsALetter",           "/a\\..\\b",              "/",         "/a\\..\\b"}),
    [](const auto& each) { return each.param.name; });
// clang-format on

TEST(GuestPath, EmptyIsRefused) {
    const auto path = GuestPath::parse("", "/srv");
    ASSERT_FALSE(path);
    EXPECT_EQ(path.error().code, Errc::kInvalid);
}

TEST(GuestPath, NulByteIsRefused) {
    const auto path = GuestPath::parse(std::string_view("/etc/passwd\0.txt", 16), "/");
    ASSERT_FALSE(path);
    EXPECT_EQ(path.error().code, Errc::kInvalid);
}

TEST(GuestPath, LongestPathIsAcceptedAndOneMoreIsNot) {
    const std::string longest = "/" + std::string(kMaxPath - 1, 'a');
    EXPECT_TRUE(GuestPath::parse(longest, "/"));
    const auto path = GuestPath::parse(longest + "a", "/");
    ASSERT_FALSE(path);
    EXPECT_EQ(path.error().code, Errc::kLimit);
}

TEST(GuestPath, RelativePathThatGrowsTooLongIsRefused) {
    const auto path = GuestPath::parse(std::string(kMaxPath, 'a'), "/srv");
    ASSERT_FALSE(path);
    EXPECT_EQ(path.error().code, Errc::kLimit);
}

struct Place {
    const char* name;
    const char* path;
    const char* directory;
    bool is_within;
    const char* below;
};
void PrintTo(const Place& place, std::ostream* out) {
    *out << place.name;
}

class GuestPathPlace : public testing::TestWithParam<Place> {};

TEST_P(GuestPathPlace, IsJudgedComponentByComponent) {
    const auto path = GuestPath::parse(GetParam().path, "/");
    ASSERT_TRUE(path);
    EXPECT_EQ(path->is_within(GetParam().directory), GetParam().is_within);
    if (!GetParam().is_within) return;
    EXPECT_EQ(path->below(GetParam().directory), GetParam().below);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(, GuestPathPlace, testing::Values(
    Place{"Child",               "/srv/export/a",   "/srv/export", true,  "a"},
    Place{"Grandchild",          "/srv/export/a/b", "/srv/export", true,  "a/b"},
    Place{"TheDirectoryItself",  "/srv/export",     "/srv/export", true,  "."},
    Place{"SiblingWithPrefix",   "/srv/exports/a",  "/srv/export", false, ""},
    Place{"Parent",              "/srv",            "/srv/export", false, ""},
    Place{"ParentWithLongName",  "/srv/expor",      "/srv/export", false, ""},
    Place{"SameLengthOther",     "/srv/exporx",     "/srv/export", false, ""},
    Place{"OtherOfSameShape",    "/srx/export/a",   "/srv/export", false, ""},
    Place{"AllLiesWithinRoot",   "/srv/export",     "/",           true,  "srv/export"},
    Place{"RootWithinRoot",      "/",               "/",           true,  "."},
    Place{"RootNotWithinOthers", "/",               "/srv",        false, ""}),
    [](const auto& each) { return each.param.name; });
// clang-format on

}  // namespace
}  // namespace sallyport::policy
