#include "worker/json_writer.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "schema/guest_agent.pb.h"
#include "schema/inspect.pb.h"
#include "worker/json_codec.hpp"
#include "worker/reply.hpp"

namespace sallyport::worker {
namespace {

struct Text {
    const char* name;
    std::string bytes;
    std::string json;
};
class WrittenString : public testing::TestWithParam<Text> {};

TEST_P(WrittenString, IsAsciiAsQemuGaWritesIt) {
    std::string out;
    append_string(out, GetParam().bytes);
    EXPECT_EQ(out, '"' + GetParam().json + '"');
}

INSTANTIATE_TEST_SUITE_P(
    , WrittenString,
    testing::Values(
        Text{"Empty", "", ""}, Text{"Plain", "a/<>'~", "a/<>'~"},
        Text{"Named", "\"\\\b\f\n\r\t", R"(\"\\\b\f\n\r\t)"}, Text{"Control", "\x01\x1F", R"(\u0001\u001F)"},
        Text{"Delete", "\x7F", R"(\u007F)"}, Text{"Nul", std::string(1, '\0'), R"(\u0000)"},
        Text{"Umlaut", "\xC3\xA4", R"(\u00E4)"}, Text{"Quotes", "\xE2\x80\x9C", R"(\u201C)"},
        Text{"BeyondBmp", "\xF0\x9F\x98\x80", R"(\uD83D\uDE00)"},
        Text{"LoneContinuation", "a\x80z", R"(a\uFFFDz)"}, Text{"ByteFf", "\xFF\xFE", R"(\uFFFD\uFFFD)"},
        Text{"CutSequenceIsOne", "\xE2\x80(", R"(\uFFFD()"}, Text{"CutAtTheEnd", "\xF0\x9F", R"(\uFFFD)"},
        Text{"OverlongIsOne", "\xE0\x80\xAF!", R"(\uFFFD!)"},
        Text{"SurrogateIsOne", "\xED\xA0\x80", R"(\uFFFD)"},
        Text{"SixBytesAreOne", "\xFC\x80\x80\x80\x80\x80", R"(\uFFFD)"},
        Text{"ModifiedNul", "\xC0\x80", R"(\u0000)"}, Text{"Noncharacter", "\xEF\xBF\xBE", R"(\uFFFD)"}),
    [](const auto& one) { return std::string(one.param.name); });

std::string written(double value) {
    std::string out;
    append_double(out, value);
    return out;
}

TEST(WrittenNumber, IsSeventeenDigitsAtMost) {
    EXPECT_EQ(written(2.5), "2.5");
    EXPECT_EQ(written(0.1), "0.10000000000000001");
    EXPECT_EQ(written(1.0), "1");
    EXPECT_EQ(written(1e-5), "1.0000000000000001e-05");
}

TEST(WrittenNumber, InfinityIsValidJsonThatReadsAsInfinity) {
    EXPECT_EQ(written(std::numeric_limits<double>::infinity()), "1e999");
    EXPECT_EQ(written(-std::numeric_limits<double>::infinity()), "-1e999");
}

TEST(WrittenNumber, IntegersAreWhole) {
    std::string out;
    append_integer(out, std::numeric_limits<std::int64_t>::min());
    out += ' ';
    append_unsigned(out, std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(out, "-9223372036854775808 18446744073709551615");
}

TEST(Reply, HasItsIdBehindTheResult) {
    std::string out;
    append_success(out, schema::PingReply(), "");
    append_success(out, schema::PingReply(), "[1, null]");
    EXPECT_EQ(out, "{\"return\": {}}\n{\"return\": {}, \"id\": [1, null]}\n");
}

TEST(Reply, HasItsIdBeforeTheError) {
    std::string out;
    append_error(out, generic_error("it's \"bad\""), "7");
    append_error(out, command_not_found("x"), "");
    EXPECT_EQ(
        out,
        "{\"id\": 7, \"error\": {\"class\": \"GenericError\", \"desc\": \"it's \\\"bad\\\"\"}}\n"
        "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command x has not been found\"}}\n");
}

TEST(Reply, IsAnObjectInDeclaredOrder) {
    schema::FileReadReply read;
    read.set_count(2);
    read.set_buf_b64("hi");
    std::string out;
    append_message(out, read);
    EXPECT_EQ(out, R"({"count": 2, "buf-b64": "aGk=", "eof": false})");
}

TEST(Reply, IsTheValueOfItsFieldReturn) {
    schema::FileOpenReply open;
    open.set_handle(1000);
    std::string out;
    append_message(out, open);
    EXPECT_EQ(out, "1000");
}

}  // namespace
}  // namespace sallyport::worker
