#include "inspector/text.hpp"

#include <gtest/gtest.h>

#include <limits>

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

TEST(Counters, AreReadAsFarAsTheyAreNumbers) {
    const auto read = [](std::string_view line) { return counters_in(words_of(line)); };
    constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
    using Counters = std::vector<std::uint64_t>;
    EXPECT_EQ(read("1 +2 -1 18446744073709551615"), (Counters{1, 2, kMost, kMost}));
    EXPECT_EQ(read("18446744073709551616 -18446744073709551616 3"), (Counters{kMost, kMost, 3}));
    EXPECT_EQ(read("1 x 3"), Counters{1});
    EXPECT_EQ(read("1.5 2"), Counters{});
    EXPECT_EQ(read("- 2"), Counters{});
    EXPECT_EQ(read(""), Counters{});
}

}  // namespace
}  // namespace sallyport::inspector
