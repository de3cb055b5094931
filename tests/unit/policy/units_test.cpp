// Sizes, permission bits, moments, user names, and the words that were meant.
#include "policy/tool/compile/units.hpp"

#include <gtest/gtest.h>

#include <array>

#include "policy/tool/compile/passwd.hpp"
#include "policy/tool/compile/suggest.hpp"

namespace sallyport::policy::compile {
namespace {

TEST(ParseSize, KnowsBinaryUnits) {
    EXPECT_EQ(parse_size("100B"), 100U);
    EXPECT_EQ(parse_size("64KiB"), 65536U);
    EXPECT_EQ(parse_size("256MiB"), std::uint64_t{256} << 20U);
    EXPECT_EQ(parse_size("1GiB"), std::uint64_t{1} << 30U);
    EXPECT_EQ(parse_size("2TiB"), std::uint64_t{2} << 40U);
    EXPECT_EQ(parse_size("18446744073709551615B"), 0xFFFFFFFFFFFFFFFFU);
    EXPECT_EQ(parse_size("16777215TiB"), std::uint64_t{16777215} << 40U);
}

TEST(ParseSize, RefusesEverythingElse) {
    for (const char* text :
         {"", "B", "100", "MiB", "0B", "0GiB", "-1B", "+1B", "1.5GiB", "256MB", "256mib", "1 GiB", " 1GiB",
          "1GiB ", "18446744073709551616B", "16777216TiB", "99999999999999999999TiB", "0x10B", "1e3B"})
        EXPECT_FALSE(parse_size(text)) << text;
}

TEST(SuggestSize, KnowsTheUsualSlips) {
    EXPECT_EQ(suggest_size("256MB"), "256MiB");
    EXPECT_EQ(suggest_size("256 mb"), "256MiB");
    EXPECT_EQ(suggest_size("1g"), "1GiB");
    EXPECT_EQ(suggest_size("100"), "100B");
    EXPECT_EQ(suggest_size("100 bytes"), "100B");
    EXPECT_FALSE(suggest_size("much"));
    EXPECT_FALSE(suggest_size(""));
    EXPECT_FALSE(suggest_size("0MB"));
    EXPECT_FALSE(suggest_size("1.5GiB"));
}

TEST(ParseMode, IsOctalPermissionBits) {
    EXPECT_EQ(parse_mode("0600"), 0600U);
    EXPECT_EQ(parse_mode("644"), 0644U);
    EXPECT_EQ(parse_mode("0000"), 0U);
    EXPECT_EQ(parse_mode("0777"), 0777U);
    for (const char* text : {"", "0", "77", "1777", "4755", "0800", "00600", "-600", "0o600", "rw-r"})
        EXPECT_FALSE(parse_mode(text)) << text;
}

toml::date_time moment(int year, unsigned month, unsigned day, unsigned hour, toml::time_offset offset) {
    return {toml::date(year, month, day), toml::time(hour, 0U), offset};
}

TEST(ToUnixTime, TakesTheOffsetAway) {
    EXPECT_EQ(to_unix_time(moment(2030, 1, 31, 0, toml::time_offset(0, 0))), 1896048000);
    EXPECT_EQ(to_unix_time(moment(2030, 1, 31, 2, toml::time_offset(2, 0))), 1896048000);
    EXPECT_EQ(to_unix_time(moment(2030, 1, 30, 21, toml::time_offset(-2, -60))), 1896048000);
    EXPECT_EQ(to_unix_time(moment(2028, 2, 29, 0, toml::time_offset(0, 0))), 1835395200);
}

TEST(ToUnixTime, NegativeOffsetWithMinutesIsReadAsWritten) {
    const toml::table table = toml::parse("at = 2030-01-30T21:30:00-02:30");
    EXPECT_EQ(to_unix_time(table.get("at")->as_date_time()->get()), 1896048000);
}

TEST(ToUnixTime, NeedsAnOffsetAndAPositiveTime) {
    EXPECT_FALSE(to_unix_time({toml::date(2030, 1, 31), toml::time(0, 0)}));
    EXPECT_FALSE(to_unix_time(moment(1970, 1, 1, 0, toml::time_offset(0, 0))));
    EXPECT_FALSE(to_unix_time(moment(1960, 1, 1, 0, toml::time_offset(0, 0))));
}

TEST(PasswdText, FirstLineOfANameCountsAndBrokenOnesDoNot) {
    const Passwd passwd(
        "root:x:0:0::/:/bin/sh\n:x:5:5::/:\nodd\nneg:x:-1:0::/:\nbig:x:4294967296:0::/:\nroot:x:7:0::/"
        ":\nlast:x:12");
    EXPECT_EQ(passwd.find("root"), 0U);
    EXPECT_EQ(passwd.find("last"), 12U);
    for (const char* name : {"", "odd", "neg", "big", "roo"}) EXPECT_FALSE(passwd.find(name)) << name;
    EXPECT_EQ(passwd.names().size(), 2U);
}

struct Slip {
    const char* word;
    const char* meant;  // empty: nothing is near
};

TEST(Closest, FindsWhatWasMeant) {
    constexpr std::array<std::string_view, 8> kKnown{"guest-sync", "guest-ping", "guest-file-open",
                                                     "@file",      "follow",     "guest-file-read",
                                                     "max_size",   "regular"};
    constexpr std::array kSlips{
        Slip{"guest-pnig", "guest-ping"},
        Slip{"guest-fileopen", "guest-file-open"},
        Slip{"guest-file-opne", "guest-file-open"},
        Slip{"guest_ping", "guest-ping"},
        Slip{"Follow", "follow"},
        Slip{"files", ""},
        Slip{"@flie", "@file"},
        Slip{"max-size", "max_size"},
        Slip{"maxsize", "max_size"},
        Slip{"reg", "regular"},
        Slip{"guest-exec", ""},
        Slip{"guest-file", ""},
        Slip{"x", ""},
        Slip{"", ""},
    };
    for (const Slip& slip : kSlips)
        EXPECT_EQ(closest(slip.word, kKnown).value_or(""), slip.meant) << slip.word;
}

TEST(Closest, DoesNotTryEndlessWords) {
    constexpr std::array<std::string_view, 1> kKnown{"read"};
    EXPECT_FALSE(closest(std::string(1'000'000, 'r'), kKnown));
}

}  // namespace
}  // namespace sallyport::policy::compile
