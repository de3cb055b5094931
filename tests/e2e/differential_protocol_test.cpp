// Framing, syntax, request objects, synchronisation: the same bytes to Debian's qemu-ga and to our agent
// under the compat profile. What follows `JSON parse error, ` is each agent's own and is not compared; all
// else is, byte for byte.
#include <gtest/gtest.h>

#include <memory>

#include "tests/e2e/side_by_side.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

using namespace std::string_literals;

struct Bytes {
    const char* name;
    std::string sent;
};

class DifferentialProtocol : public testing::Test {
protected:
    static void SetUpTestSuite() { pair_ = std::make_unique<SideBySide>(); }
    static void TearDownTestSuite() { pair_.reset(); }
    static std::string of_qemu(const std::string& sent) {
        return without_parse_texts(pair_->ask_qemu({sent}).replies[0]);
    }
    static std::string of_ours(const std::string& sent) {
        return without_parse_texts(pair_->ask_ours({sent}).replies[0]);
    }
    static std::unique_ptr<SideBySide> pair_;
};

std::unique_ptr<SideBySide> DifferentialProtocol::pair_;

class SameBytes : public DifferentialProtocol, public testing::WithParamInterface<Bytes> {};

TEST_P(SameBytes, GetTheSameAnswers) {
    EXPECT_EQ(of_ours(GetParam().sent), of_qemu(GetParam().sent)) << GetParam().sent;
}

std::string ping_with_id(const std::string& id) {
    return R"({"execute":"guest-ping","id":)" + id + "}";
}

std::string sync_with(const std::string& arguments) {
    return R"({"execute":"guest-sync","arguments":)" + arguments + "}";
}

// clang-format off
const Bytes kFraming[] = {
    {"TwoRequestsTouching", ping_with_id("1") + ping_with_id("2")},
    {"RequestOverSeveralLines", "{\"execute\"\n:\r\n\t\"guest-ping\"\n}"},
    {"CarriageReturnLineFeed", ping_with_id("1") + "\r\n" + ping_with_id("2") + "\r\n"},
    {"WhiteSpaceAlone", " \t\r\n \n"},
    {"TopLevelNumber", "5\n"},
    {"TopLevelNumbers", "5 6 -7 8.5e1\n"},
    {"TopLevelStrings", R"("x""y")"},
    {"TopLevelWords", "null true false\n"},
    {"TopLevelArray", "[]"},
    {"TopLevelArrayOfRequests", "[" + ping_with_id("1") + "]"},
    {"BoolRightBeforeAnObject", "true" + ping_with_id("1")},
    {"DelimitedSync", R"({"execute":"guest-sync-delimited","arguments":{"id":77}})"},
    {"DelimitedSyncWithId", R"({"execute":"guest-sync-delimited","arguments":{"id":77},"id":"x"})"},
    {"FailingDelimitedSyncHasNoSentinel", R"({"execute":"guest-sync-delimited","arguments":{"id":"77"}})"},
};
const Bytes kSyntax[] = {
    {"LowerCaseGarbageLine", "garbage\n"},
    {"UpperCaseGarbageLine", "GARBAGE more (garbage)\n"},
    {"LoneClosingBrace", "}\n"}, {"LoneClosingBracket", "]\n"}, {"LoneColon", ":\n"}, {"LoneComma", ",\n"},
    {"BraceClosedByBracket", "{]\n"},
    {"ControlByte", "\x01\n"}, {"NulByte", "\0\n"s}, {"ByteFE", "\xfe\n"},
    {"TrailingComma", R"({"execute":"guest-ping",})" "\n"},
    {"MissingColon", R"({"execute" "guest-ping"})" "\n"},
    {"MissingComma", R"({"execute":"guest-ping" "id":1})" "\n"},
    {"MissingCommaInArray", R"({"id":[1 2],"execute":"guest-ping"})" "\n"},
    {"KeyThatIsNoString", "{1:2}\n"},
    {"DuplicateKey", R"({"execute":"guest-ping","execute":"guest-ping"})" "\n"},
    {"DuplicateKeyDeepInTheId", ping_with_id(R"({"a":{"b":1,"b":2}})") + "\n"},
    {"DuplicateKeyWrittenTwoWays", ping_with_id(R"({"a":1,"\u0061":2})") + "\n"},
    {"DuplicateKeyInArguments", sync_with(R"({"id":1,"id":1})") + "\n"},
    {"UnknownWord", R"({"execute":tru})" "\n"},
    {"WordWithCapital", R"({"execute":True)" "\n"},
    {"UnknownEscape", R"({"execute":"a\qb"})" "\n"},
    {"EscapeOfSingleDigits", R"({"execute":"\u12"})" "\n"},
    {"LoneHighSurrogate", ping_with_id(R"("\ud800")") + "\n"},
    {"ReversedSurrogates", ping_with_id(R"("\ude00\ud83d")") + "\n"},
    {"BrokenUtf8", ping_with_id("\"\xc3\"") + "\n"},
    {"Utf8OfASurrogate", ping_with_id("\"\xed\xa0\x80\"") + "\n"},
    {"OverlongUtf8", ping_with_id("\"\xc1\x81\"") + "\n"},
    {"Utf8BeyondUnicode", ping_with_id("\"\xf4\x90\x80\x80\"") + "\n"},
    {"PlusSign", "+1\n"}, {"LeadingPoint", ".5\n"}, {"MinusAlone", "- \n"}, {"PointAtTheEnd", "1. \n"},
    {"UnfinishedStringEndsWithTheLine", "\"unfinished\n" + ping_with_id("1")},
    {"RequestOnALineOfGarbage", "GARBAGE" + ping_with_id("1") + "\n"},
    {"StrayByteBeforeTwoRequests", "X" + ping_with_id("1") + ping_with_id("2")},
    {"ByteOrderMark", "\xef\xbb\xbf" + ping_with_id("1")},
    {"RequestsEndedByNul", ping_with_id("1") + "\0"s + ping_with_id("2") + "\0"s},
    {"GarbageLineThenRequest", "GARBAGE\n" + ping_with_id("1")},
    {"OpenBracketAtAReset", "{\"a\":[}\xff" + ping_with_id("1")},
    {"CommentAfterRequest", ping_with_id("1") + " // comment\n"},
};
const Bytes kRequests[] = {
    {"NoExecute", "{}"}, {"NoExecuteButId", R"({"id":3})"}, {"NoExecuteButArguments", R"({"arguments":{}})"},
    {"ExecuteNull", R"({"execute":null})"}, {"ExecuteNumber", R"({"execute":1,"id":2})"}, {"ExecuteArray", R"({"execute":["guest-ping"]})"},
    {"ArgumentsNull", R"({"execute":"guest-ping","arguments":null})"}, {"ArgumentsArray", R"({"execute":"guest-ping","arguments":[],"id":1})"},
    {"ArgumentsText", R"({"execute":"guest-ping","arguments":"{}"})"}, {"ArgumentsEmpty", R"({"execute":"guest-ping","arguments":{}})"},
    {"ArgumentsBeforeExecute", R"({"arguments":{"id":5},"id":6,"execute":"guest-sync"})"},
    {"ExecOob", R"({"exec-oob":"guest-ping","id":1})"}, {"ExecOobBeside", R"({"execute":"guest-ping","exec-oob":true})"},
    {"OtherMember", R"({"execute":"guest-ping","x":1,"id":4})"}, {"OtherMemberNull", R"({"execute":"guest-ping","other":null})"},
    {"OtherMemberEmptyName", R"({"execute":"guest-ping","":1})"}, {"OtherMemberWithUnicode", R"({"execute":"guest-ping","\u00e9\ud83d\ude00\"":1})"},
    {"UnknownCommand", R"({"execute":"guest-nothing","id":1})"}, {"UnknownCommandWithArguments", R"({"execute":"guest-nothing","arguments":{"x":[{}]}})"},
    {"UpperCaseCommand", R"({"execute":"guest-Ping"})"}, {"CommandWithSpace", R"({"execute":"guest-ping "})"}, {"EmptyCommand", R"({"execute":"","id":1})"},
    {"CommandWithSpecialCharacters", R"({"execute":"a\"b\\\u00e9\n\t\u0001/<>'"})"}, {"QmpCommand", R"({"execute":"qmp_capabilities"})"},
    {"UnexpectedArgument", R"({"execute":"guest-ping","arguments":{"x":1},"id":5})"}, {"UnexpectedArgumentNull", R"({"execute":"guest-ping","arguments":{"x":null}})"},
    {"UnexpectedArgumentOfInfo", R"({"execute":"guest-info","arguments":{"x":1}})"},
    {"MissingArgument", sync_with("{}")}, {"MissingArguments", R"({"execute":"guest-sync"})"}, {"ArgumentOfOtherCase", sync_with(R"({"ID":1})")},
    {"UnexpectedBesideGood", sync_with(R"({"id":1,"x":2})")}, {"UnexpectedBesideBad", sync_with(R"({"id":"1","x":2})")},
    {"IntegerNull", sync_with(R"({"id":null})")}, {"IntegerFraction", sync_with(R"({"id":5.0})")}, {"IntegerExponent", sync_with(R"({"id":1e2})")},
    {"IntegerText", sync_with(R"({"id":"5"})")}, {"IntegerBool", sync_with(R"({"id":true})")}, {"IntegerArray", sync_with(R"({"id":[1]})")},
    {"IntegerObject", sync_with(R"({"id":{}})")}, {"IntegerLargest", sync_with(R"({"id":9223372036854775807})")},
    {"IntegerTooLarge", sync_with(R"({"id":9223372036854775808})")}, {"IntegerSmallest", sync_with(R"({"id":-9223372036854775808})")},
    {"IntegerTooSmall", sync_with(R"({"id":-9223372036854775809})")}, {"IntegerMinusZero", sync_with(R"({"id":-0})")},
    {"PathNumber", R"({"execute":"guest-file-open","arguments":{"path":1}})"}, {"PathNull", R"({"execute":"guest-file-open","arguments":{"path":null}})"},
    {"PathMissing", R"({"execute":"guest-file-open","arguments":{"mode":"r"}})"}, {"ModeNumber", R"({"execute":"guest-file-open","arguments":{"path":"/x","mode":1}})"},
    {"ModeNull", R"({"execute":"guest-file-open","arguments":{"path":"/x","mode":null}})"}, {"OldPathName", R"({"execute":"guest-file-open","arguments":{"filepath":"/x"}})"},
    {"HandleMissing", R"({"execute":"guest-file-read","arguments":{"count":1}})"}, {"HandleText", R"({"execute":"guest-file-close","arguments":{"handle":"1"}})"},
    {"OldHandleName", R"({"execute":"guest-file-close","arguments":{"filehandle":1}})"}, {"DataMissing", R"({"execute":"guest-file-write","arguments":{"handle":1}})"},
    {"DataNumber", R"({"execute":"guest-file-write","arguments":{"handle":1,"buf-b64":1}})"}, {"DataNull", R"({"execute":"guest-file-write","arguments":{"handle":1,"buf-b64":null}})"},
    {"OldDataName", R"({"execute":"guest-file-write","arguments":{"handle":1,"data_b64":""}})"}, {"WhenceMissing", R"({"execute":"guest-file-seek","arguments":{"handle":1,"offset":0}})"},
    {"ArgumentWithinArgument", R"({"execute":"guest-file-close","arguments":{"handle":{"handle":1}}})"},
    {"SecondArgumentMissingFirstWrong", R"({"execute":"guest-file-seek","arguments":{"handle":"a"}})"},
};
const Bytes kIds[] = {
    {"IdNull", ping_with_id("null")}, {"IdTrue", ping_with_id("true")}, {"IdFalse", ping_with_id("false")}, {"IdZero", ping_with_id("0")},
    {"IdMinusZero", ping_with_id("-0")}, {"IdNegative", ping_with_id("-12")}, {"IdLargestInt64", ping_with_id("9223372036854775807")},
    {"IdSmallestInt64", ping_with_id("-9223372036854775808")}, {"IdLargestUint64", ping_with_id("18446744073709551615")},
    {"IdBeyondUint64", ping_with_id("18446744073709551616")}, {"IdBelowInt64", ping_with_id("-9223372036854775809")},
    {"IdThirtyDigits", ping_with_id("123456789012345678901234567890")}, {"IdHalf", ping_with_id("2.5")}, {"IdTenth", ping_with_id("0.1")},
    {"IdWholeFraction", ping_with_id("1.0")}, {"IdExponent", ping_with_id("1E2")}, {"IdSmallExponent", ping_with_id("1e-5")}, {"IdLargeExponent", ping_with_id("1e22")},
    {"IdTooSmallForDouble", ping_with_id("1e-400")}, {"IdLargestDouble", ping_with_id("1.7976931348623157e308")}, {"IdSmallestDouble", ping_with_id("5e-324")},
    {"IdManyDigits", ping_with_id("3.141592653589793238462643383279")}, {"IdMinusZeroFraction", ping_with_id("-0.0")},
    {"IdEmptyText", ping_with_id("\"\"")}, {"IdNamedEscapes", ping_with_id(R"("\b\f\n\r\t\"\\\/")")}, {"IdControlEscapes", ping_with_id(R"("\u0001\u001f\u007f\u0080")")},
    {"IdRawDelete", ping_with_id("\"\x7f\"")}, {"IdUnicode", ping_with_id("\"\u00e9\u20ac\U0001f600\"")}, {"IdEscapedUnicode", ping_with_id(R"("\u00E9\uD83D\uDE00")")},
    {"IdPlainPunctuation", ping_with_id(R"("</>'&")")}, {"IdEmptyArray", ping_with_id("[]")}, {"IdEmptyObject", ping_with_id("{}")},
    {"IdNested", ping_with_id(R"([[],{},[{"a":[1,"b",null]}]])")}, {"IdBeforeExecute", R"({"id":[1,2],"execute":"guest-ping"})"},
    {"IdOnError", R"({"execute":"guest-sync","id":{"k":[1.5]}})"}, {"IdOnUnknownCommand", R"({"execute":"guest-nothing","id":null})"},
    {"IdOnSync", R"({"execute":"guest-sync","arguments":{"id":9},"id":"x"})"},
    {"IdOnFileError", R"({"execute":"guest-file-close","arguments":{"handle":1},"id":[0]})"},
    {"IdOfDepthThousand", ping_with_id(std::string(1000, '[') + std::string(1000, ']'))},
    {"IdOfTenThousandLetters", ping_with_id("\"" + std::string(10'000, 'x') + "\"")},
};
// clang-format on

INSTANTIATE_TEST_SUITE_P(Framing, SameBytes, testing::ValuesIn(kFraming), case_name<Bytes>);
INSTANTIATE_TEST_SUITE_P(Syntax, SameBytes, testing::ValuesIn(kSyntax), case_name<Bytes>);
INSTANTIATE_TEST_SUITE_P(Requests, SameBytes, testing::ValuesIn(kRequests), case_name<Bytes>);
INSTANTIATE_TEST_SUITE_P(Ids, SameBytes, testing::ValuesIn(kIds), case_name<Bytes>);

struct Difference {
    const char* name;
    std::string sent;
    std::string ours;
    const char* reason;
};

class DeliberateDifferences : public DifferentialProtocol, public testing::WithParamInterface<Difference> {};

TEST_P(DeliberateDifferences, AreWhatTheyAreListedAs) {
    const Difference& one = GetParam();
    EXPECT_EQ(of_ours(one.sent), one.ours) << one.reason;
    EXPECT_NE(of_qemu(one.sent), one.ours) << "no difference any more: move it to the table of equal answers";
}

const std::string kPong = "{\"return\": {}}\n";
const std::string kParseError = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error, \n";
constexpr const char* kSilent = "0xFF is a host's reset, not an error";
constexpr const char* kOneStretch = "a line of garbage gets one error";
constexpr const char* kStrict = "strings are those of RFC 8259";

// clang-format off
const Difference kDifferences[] = {
    {"ResetByteIsSilent", "\xff\n", "", kSilent},
    {"ThreeResetBytesAreSilent", "\xff\xff\xff" + ping_with_id("1"), "{\"return\": {}, \"id\": 1}\n", kSilent},
    {"ResetByteDropsAHalfString", "{\"execute\":\"guest-pi\xff{\"execute\":\"guest-ping\"}", kPong, kSilent},
    {"ResetByteDropsAHalfObject", "{\"execute\": \xff{\"execute\":\"guest-ping\"}", kPong, kSilent},
    {"ResetByteEndsGarbage", "GARBAGE\xff{\"execute\":\"guest-ping\"}", kParseError + kPong, kSilent},
    {"LeftOverBraceBelongsToTheError", ping_with_id("01") + "\n", kParseError, kOneStretch},
    {"PercentAndTheRest", "{\"execute\":%s}\n", kParseError, kOneStretch},
    {"ControlByteInStringAndTheRest", "{\"execute\":\"gu\x0e" "est\"}\n", kParseError, kOneStretch},
    {"SingleQuotes", "{'execute':'guest-ping'}\n", kParseError, kStrict},
    {"SingleQuotedValue", "{\"execute\":'guest-ping'}\n", kParseError, kStrict},
    {"EscapedNul", ping_with_id("\"\\u0000\"") + "\n", kParseError, "a NUL is in no name that a command could use"},
    {"NulAsOverlongUtf8", ping_with_id("\"\xc0\x80\"") + "\n", kParseError, kStrict},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(, DeliberateDifferences, testing::ValuesIn(kDifferences), case_name<Difference>);

}  // namespace
}  // namespace sallyport::test
