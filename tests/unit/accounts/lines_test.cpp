// The lines of an authorized_keys: what becomes of them, as with qemu-ga.
#include "broker/accounts/lines.hpp"

#include <gtest/gtest.h>

namespace sallyport::accounts {
namespace {

TEST(Lines, FileIsTakenApartAndPutTogetherWithoutAChange) {
    for (const char* text : {"", "a", "a\n", "\n", "a\nb", "a\n\n\nb\n", " a \r\n#c\n"})
        EXPECT_EQ(join(split(text)), text) << text;
    EXPECT_TRUE(split("").empty());
    EXPECT_EQ(split("a\n"), (Lines{"a", ""}));
}

TEST(Lines, KeysAreShownLastFirstWithoutBlanksCommentsAndEmptyLines) {
    EXPECT_EQ(shown_of(split("one\n# c\n\n  two \t\n #d\nthree\r\none\n")),
              (Lines{"one", "three", "two", "one"}));
}

TEST(Lines, WhatIsNoUtf8IsShownAsAReplacementForEachByte) {
    EXPECT_EQ(
        shown_of(split("m\xc3\xbc\nx\xff\xc3y\n\xed\xa0\x80\n\xc0\xaf\n\xf0\x9f\x98\x80")),
        (Lines{"\xf0\x9f\x98\x80", "\uFFFD\uFFFD", "\uFFFD\uFFFD\uFFFD", "x\uFFFD\uFFFDy", "m\xc3\xbc"}));
}

TEST(Lines, KeysAreAddedOnceAndCommentsStay) {
    Lines lines = split("# mine\na\n");
    EXPECT_TRUE(add(lines, {"b", "a", "b", " a"}));
    EXPECT_EQ(join(lines), "# mine\na\n\nb\n a");
    EXPECT_FALSE(add(lines, {"b"}));
    EXPECT_EQ(count_keys(lines), 3U);
}

TEST(Lines, AnEmptyLineThatIsAddedIsNoKey) {
    Lines lines = split("a");
    EXPECT_FALSE(add(lines, {"a", ""}));
    EXPECT_EQ(join(lines), "a\n");
}

TEST(Lines, OnlyEqualLinesAreRemoved) {
    Lines lines = split("# a\na\n a\nab\na\n\nb");
    remove(lines, {"a", "c"});
    EXPECT_EQ(join(lines), "# a\n a\nab\n\nb");
}

}  // namespace
}  // namespace sallyport::accounts
