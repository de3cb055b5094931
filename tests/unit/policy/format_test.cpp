// How a policy is laid out.
#include "policy/tool/compile/format.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "policy/tool/compile/compile.hpp"
#include "policy/tool/compile/profiles.hpp"
#include "tests/unit/policy/random_policy.hpp"

namespace sallyport::policy::compile {
namespace {

std::string formatted(std::string_view text) {
    const auto result = compile::format(text, "p.toml");
    return result ? *result : result.error();
}

TEST(Format, BlanksAndBlankLinesStandWhereTheyBelong) {
    EXPECT_EQ(formatted("\n\n# head\nschema=1   # one\n[[ allow ]]\nid =\"a\"\nfiles=[{under=\"/a "
                        "b\",access=[ \"read\" ,\"write\" ]}]\n"
                        "\n\n\nwhy = 'x  =  y'\n# about d\n# more\n[[deny]]\nid=\"d\"\nreply={ }\nlist = "
                        "[\n\"a\",# one\n  { int=[1,2] }\n]"),
              "# head\nschema = 1  # one\n\n[[allow]]\nid = \"a\"\nfiles = [{ under = \"/a b\", access = "
              "[\"read\", \"write\"] }]\n"
              "\nwhy = 'x  =  y'\n\n# about d\n# more\n[[deny]]\nid = \"d\"\nreply = {}\nlist = [\n    "
              "\"a\",  # one\n    { int = [1, 2] }\n]\n");
}

TEST(Format, StringsOfEveryKindStayAsTheyAre) {
    const std::string text =
        "a = \"\"\"x = [ 1 ]\n # no comment \\\" \"\"\"\nb = '''it's ''' # yes\nc = \"q\\\"#\"\nd = "
        "1979-05-27 07:32:00\n";
    EXPECT_EQ(formatted(text),
              "a = \"\"\"x = [ 1 ]\n # no comment \\\" \"\"\"\nb = '''it's '''  # yes\nc = \"q\\\"#\"\nd = "
              "1979-05-27 07:32:00\n");
}

TEST(Format, WhatIsNoTomlIsAnError) {
    EXPECT_EQ(formatted("schema = \n").substr(0, 21), "p.toml:1:10: error: E");
}

/// The text with blanks put in and taken out where none matter.
std::string disturbed(std::string text, random::Source& source) {
    std::string other;
    bool is_quoted = false;
    for (const char c : text) {
        if (c == '"') is_quoted = !is_quoted;
        const bool is_mark = std::string_view("{},=").find(c) != std::string_view::npos;
        if (!is_quoted && is_mark && source.chance(50)) other += "  ";
        other += c;
        if (!is_quoted && is_mark && source.chance(50)) other += ' ';
        if (!is_quoted && c == '\n' && source.chance(30)) other += source.chance(50) ? "\n" : "# comment\n";
    }
    return other;
}

std::string meaning_of(const std::string& text) {
    auto compiled = compile_policy({.text = text,
                                    .name = "p",
                                    .passwd = random::kPasswd,
                                    .group = random::kGroup,
                                    .zones = random::zone_file});
    if (!compiled) return compiled.error();
    compiled->clear_digest();
    for (auto& rule : *compiled->mutable_rules()) rule.clear_where();
    return compiled->SerializeAsString();
}

TEST(Format, TwiceIsOnceAndThePolicyMeansTheSame) {
    random::Source source(60);
    for (int number = 0; number < 500; ++number) {
        const std::string text = random::text_of(source.rules(1 + source.below(5)));
        if (!random::compiled(text)) continue;
        const std::string other = disturbed(text, source);
        const std::string once = formatted(other);
        ASSERT_EQ(formatted(once), once);
        ASSERT_EQ(meaning_of(once), meaning_of(text)) << other;
        ASSERT_EQ(std::ranges::count(once, '#'), std::ranges::count(other, '#'));
    }
}

TEST(Format, ProfilesAreLaidOutLikeThis) {
    for (const Profile& profile : profiles()) EXPECT_EQ(formatted(profile.text), profile.text);
}

}  // namespace
}  // namespace sallyport::policy::compile
