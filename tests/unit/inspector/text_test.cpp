#include "inspector/text.hpp"

#include <gtest/gtest.h>

namespace sallyport::inspector {
namespace {

TEST(Text, ThatIsUtf8StaysAsItIs) {
    for (const char* text : {"", "plain", "tab\tand\nline", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"})
        EXPECT_EQ(to_utf8(text), text);
}

TEST(Text, EachBrokenSequenceIsOneReplacement) {
    const std::string one = "\xef\xbf\xbd";
    EXPECT_EQ(to_utf8("a\xff"
                      "b"),
              "a" + one + "b");
    EXPECT_EQ(to_utf8("\xe2\x82"), one);
    EXPECT_EQ(to_utf8("\xe2\x82"
                      "a"),
              one + "a");
    EXPECT_EQ(to_utf8("\xc0\xaf"), one);
    EXPECT_EQ(to_utf8("\xed\xa0\x80"), one);
    EXPECT_EQ(to_utf8("\xf4\x90\x80\x80"), one);
    EXPECT_EQ(to_utf8("\xf8\x88\x80\x80\x80"), one);
    EXPECT_EQ(to_utf8("\x80\x80"), one + one);
}

TEST(Text, WordsAndLines) {
    EXPECT_EQ(words_of("  a\tbc  d "), (std::vector<std::string_view>{"a", "bc", "d"}));
    EXPECT_TRUE(words_of("  ").empty());
    EXPECT_EQ(lines_of("a\n\nb"), (std::vector<std::string_view>{"a", "", "b"}));
    EXPECT_EQ(lines_of("a\n"), (std::vector<std::string_view>{"a"}));
}

TEST(Text, NumberAfterAPrefixIsAllOfTheName) {
    EXPECT_EQ(number_after("cpu12", "cpu"), 12U);
    for (const char* name : {"cpu", "cpufreq", "cpu1x", "xcpu1", "cpu-1", "cpu 1"})
        EXPECT_FALSE(number_after(name, "cpu")) << name;
}

}  // namespace
}  // namespace sallyport::inspector
