// Framing: every way in which the host's bytes may come, and what they are taken for.
#include "worker/framing.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "ipc/limits.hpp"
#include "worker/json_writer.hpp"

namespace sallyport::worker {
namespace {

using Events = std::vector<std::string>;

// What comes out, as text: a value as it would be echoed, "ERROR ..." or "RESET".
void collect(Framing& framing, Events& events) {
    for (;;) {
        switch (framing.next()) {
            case Framing::Event::kNothing:
                return;
            case Framing::Event::kReset:
                events.emplace_back("RESET");
                break;
            case Framing::Event::kError:
                events.push_back("ERROR " + framing.error());
                break;
            case Framing::Event::kValue:
                events.emplace_back();
                append_value(events.back(), framing.document().root());
                break;
        }
    }
}

Events take(std::initializer_list<std::string_view> pieces) {
    Framing framing;
    Events events;
    for (const std::string_view piece : pieces) {
        framing.feed(piece);
        collect(framing, events);
    }
    return events;
}

struct Case {
    const char* name;
    std::string input;
    Events events;
};

void PrintTo(const Case& one, std::ostream* out) {
    *out << one.name;
}
std::string case_name(const testing::TestParamInfo<Case>& info) {
    return info.param.name;
}

class Stream : public testing::TestWithParam<Case> {};

TEST_P(Stream, GivesTheSameWhole) {
    EXPECT_EQ(take({GetParam().input}), GetParam().events);
}

TEST_P(Stream, GivesTheSameCutInTwoAnywhere) {
    const std::string_view input = GetParam().input;
    for (std::size_t at = 0; at <= input.size(); ++at)
        EXPECT_EQ(take({input.substr(0, at), input.substr(at)}), GetParam().events) << "cut at " << at;
}

TEST_P(Stream, GivesTheSameByteByByte) {
    Framing framing;
    Events events;
    for (const char& one : GetParam().input) {
        framing.feed({&one, 1});
        collect(framing, events);
    }
    EXPECT_EQ(events, GetParam().events);
}

const std::string kPing = R"({"execute": "guest-ping"})";

INSTANTIATE_TEST_SUITE_P(
    Boundaries, Stream,
    testing::Values(Case{"OneLine", kPing + "\n", {kPing}}, Case{"NoLineEndIsNeeded", kPing, {kPing}},
                    Case{"TwoThatTouch", kPing + kPing, {kPing, kPing}},
                    Case{"CrLf", kPing + "\r\n" + kPing + "\r\n", {kPing, kPing}},
                    Case{"OneOverManyLines", "{\n\"execute\"\r\n:\t\"guest-ping\"\n}", {kPing}},
                    Case{"OnlyWhiteSpace", " \t\r\n", {}}, Case{"NumberWaitsForTheNextByte", "5", {}},
                    Case{"NumberEndsAtTheNextByte", "5\n", {"5"}},
                    Case{"WordWaitsForTheNextByte", "true", {}},
                    Case{"WordEndsAtTheNextByte", "null false\n", {"null", "false"}},
                    Case{"StringEndsAtItsQuote", "\"a\"\"b\"", {"\"a\"", "\"b\""}},
                    Case{"NumberThenObject", "5{}", {"5", "{}"}},
                    Case{"ArrayThenNumber", "[]-1 ", {"[]", "-1"}}),
    case_name);

INSTANTIATE_TEST_SUITE_P(
    Resets, Stream,
    testing::Values(Case{"ResetAlone", "\xFF", {"RESET"}},
                    Case{"ThreeResets", "\xFF\xFF\xFF", {"RESET", "RESET", "RESET"}},
                    Case{"ResetThenValue", "\xFF" + kPing, {"RESET", kPing}},
                    Case{"ResetInsideString", "{\"execute\":\"guest-pi\xFF" + kPing, {"RESET", kPing}},
                    Case{"ResetInsideObject", "{\"execute\": \xFF" + kPing, {"RESET", kPing}},
                    Case{"ResetEndsSkipping",
                         "%%%\xFF" + kPing,
                         {"ERROR JSON parse error, syntax error", "RESET", kPing}},
                    Case{"ResetDropsWaitingNumber", "5\xFF" + kPing, {"RESET", kPing}}),
    case_name);

const std::string kSyntax = "ERROR JSON parse error, syntax error";

Case syntax(const char* name, const std::string& bad) {
    return {name, bad + "\n" + kPing + "\n", {kSyntax, kPing}};
}

INSTANTIATE_TEST_SUITE_P(
    GarbageGetsOneLine, Stream,
    testing::Values(syntax("UpperCase", "GARBAGE"), syntax("LowerCase", "garbage"), syntax("LoneBrace", "}"),
                    syntax("LoneBracket", "]"), syntax("LoneColon", ":"), syntax("LoneComma", ","),
                    syntax("WrongBracket", "{]"), syntax("MissingColon", R"({"a" 1})"),
                    syntax("TrailingComma", "[1,]"), syntax("SingleQuotes", "{'a':1}"),
                    syntax("KeyNoString", "{1:2}"), syntax("Comment", "/* */ 1"), syntax("Percent", "%s"),
                    syntax("LeadingZero", R"({"id":01})"), syntax("NoFraction", R"({"id":1.})"),
                    syntax("NoInteger", R"({"id":.5})"), syntax("Plus", R"({"id":+1})"),
                    syntax("Hex", R"({"id":0x10})"), syntax("Infinity", R"({"id":Infinity})"),
                    syntax("WrongWord", "[trux]"), syntax("TwoValues", "[1 2]"), syntax("ByteFe", "\xFE"),
                    syntax("ByteOne", "\x01")),
    case_name);

Case refused(const char* name, const std::string& bad, const std::string& text) {
    return {name, bad + "\n" + kPing + "\n", {"ERROR JSON parse error, " + text, kPing}};
}

// The byte 8 ends a line, also where the parser wants a hex digit; its second one ends what was left of the value.
Case control_byte_in(const char* name, const std::string& escape) {
    return {name,
            "{\"a\":\"" + escape + "\x08" + "ee00000\x08" + "ee\n" + kPing + "\n",
            {"ERROR JSON parse error, expected hex digit", kSyntax, kPing}};
}

INSTANTIATE_TEST_SUITE_P(LineEndAmongHexDigits, Stream,
                         testing::Values(control_byte_in("First", "\\u"), control_byte_in("Second", "\\u0"),
                                         control_byte_in("Third", "\\u00"),
                                         control_byte_in("FirstOfATrailingSurrogate", "\\ud800\\u"),
                                         control_byte_in("SecondOfATrailingSurrogate", "\\ud800\\ud")),
                         case_name);

INSTANTIATE_TEST_SUITE_P(
    Refused, Stream,
    testing::Values(refused("DuplicateKey", R"({"a":1,"b":2,"a":3})", "duplicate key"),
                    refused("DuplicateKeyDeep", R"([{"x":[{"a":1,"a":1}]}])", "duplicate key"),
                    refused("DuplicateKeyByEscape", "{\"a\":1,\"\\u0061\":1}", "duplicate key"),
                    refused("EscapedNul", R"({"a":"\u0000"})", "\\u0000 in string"),
                    refused("EscapedNulInKey", R"({"a\u0000":1})", "\\u0000 in string"),
                    refused("Noncharacterfdd0", "\"\\uFDD0\"", "not a character in string"),
                    refused("NoncharacterEscaped", R"("\uFFFE")", "not a character in string"),
                    refused("NoncharacterRaw", "\"\xEF\xBF\xBF\"", "not a character in string"),
                    refused("NoncharacterBeyondBmp", R"("\uD83F\uDFFE")", "not a character in string"),
                    refused("LoneLeadingSurrogate", R"("\uD800")", "syntax error"),
                    refused("LoneTrailingSurrogate", R"("\uDC00")", "invalid surrogate in string"),
                    refused("ReversedSurrogates", R"("\uDC00\uD800")", "invalid surrogate in string"),
                    refused("InvalidUtf8", "\"\xC3(\"", "syntax error"),
                    refused("OverlongUtf8", "\"\xC0\xAF\"", "syntax error"),
                    refused("SurrogateUtf8", "\"\xED\xA0\x80\"", "syntax error"),
                    refused("BeyondUnicode", "\"\xF4\x90\x80\x80\"", "syntax error"),
                    refused("BadEscape", R"("\q")", "syntax error"),
                    refused("SingleQuoteEscape", R"("\'")", "syntax error"),
                    refused("ShortHex", R"("\u12")", "expected hex digit"),
                    refused("RawTab", "\"\t\"", "syntax error")),
    case_name);

Case echoed(const char* name, const std::string& input, const std::string& as) {
    return {name, input + "\n", {as}};
}

INSTANTIATE_TEST_SUITE_P(
    Accepted, Stream,
    testing::Values(echoed("LargestInt64", "9223372036854775807", "9223372036854775807"),
                    echoed("SmallestInt64", "-9223372036854775808", "-9223372036854775808"),
                    echoed("LargestUint64", "18446744073709551615", "18446744073709551615"),
                    echoed("BeyondUint64IsDouble", "18446744073709551616", "1.8446744073709552e+19"),
                    echoed("BelowInt64IsDouble", "-9223372036854775809", "-9.2233720368547758e+18"),
                    echoed("MinusZeroIsZero", "-0", "0"), echoed("FractionIsDouble", "1.0", "1"),
                    echoed("ExponentIsDouble", "1e2", "100"), echoed("Tenth", "0.1", "0.10000000000000001"),
                    echoed("ManyDigits", "3.141592653589793238462643", "3.1415926535897931"),
                    echoed("Small", "1e-5", "1.0000000000000001e-05"), echoed("TooLarge", "1E400", "1e999"),
                    echoed("SurrogatePair", R"("\ud83d\ude00")", "\"\\uD83D\\uDE00\""),
                    echoed("RawEmoji", "\"\xF0\x9F\x98\x80\"", "\"\\uD83D\\uDE00\""),
                    echoed("Delete", "\"\x7F\"", "\"\\u007F\""),
                    echoed("SingleQuoteInside", "\"'\"", "\"'\""),
                    echoed("Escapes", R"("\"\\\/\b\f\n\r\t")", R"("\"\\/\b\f\n\r\t")"),
                    echoed("Empty", R"([{},[],""])", R"([{}, [], ""])"),
                    echoed("Nested", R"({"a":[1,{"b":null}],"c":true})",
                           R"({"a": [1, {"b": null}], "c": true})")),
    case_name);

TEST(Limits, AThousandAndTwentyFourLevelsAreAccepted) {
    const std::string deep = std::string(kMaxNesting, '[') + std::string(kMaxNesting, ']');
    EXPECT_EQ(take({deep}), Events{deep});
}

TEST(Limits, OneLevelMoreIsOneErrorAndTheNextLineIsRead) {
    const std::string deep = std::string(kMaxNesting + 1, '[') + std::string(kMaxNesting + 1, ']');
    EXPECT_EQ(take({deep + "\n" + kPing}), (Events{"ERROR JSON nesting depth limit exceeded", kPing}));
}

std::string array_of(std::size_t elements) {
    std::string text = "[0";
    for (std::size_t at = 1; at < elements; ++at) text += ",0";
    return text + "]";
}

TEST(Limits, TokensAreCounted) {
    // Two brackets, n numbers, n - 1 commas.
    constexpr std::size_t kMost = (kMaxTokens - 1) / 2;
    Framing framing;
    const std::string most = array_of(kMost);
    framing.feed(most);
    EXPECT_EQ(framing.next(), Framing::Event::kValue);
    EXPECT_EQ(take({array_of(kMost + 1) + "\n" + kPing}),
              (Events{"ERROR JSON token count limit exceeded", kPing}));
}

TEST(Limits, OneTokenIsBoundedAsItComes) {
    Framing framing;
    const std::string piece(std::size_t{1} << 20U, 'a');
    framing.feed("\"");
    EXPECT_EQ(framing.next(), Framing::Event::kNothing);
    for (std::size_t size = piece.size(); size <= kMaxValueSize; size += piece.size()) {
        framing.feed(piece);
        ASSERT_EQ(framing.next(), Framing::Event::kNothing) << size;
    }
    framing.feed(piece);
    ASSERT_EQ(framing.next(), Framing::Event::kError);
    EXPECT_EQ(framing.error(), "JSON token size limit exceeded");
}

TEST(Limits, ManyKeysAreComparedInTime) {
    std::string text = "{";
    for (int at = 0; at < 200'000; ++at) text += "\"key" + std::to_string(at) + "\":0,";
    EXPECT_EQ(take({text + "\"key7\":0}\n"}), Events{"ERROR JSON parse error, duplicate key"});
}

// What a client sends that never ends a line, as it loses step in one way or another.
INSTANTIATE_TEST_SUITE_P(
    NoLineEnds, Stream,
    testing::Values(
        Case{"StrayByte", "x" + kPing + kPing + kPing, {kSyntax, kPing, kPing, kPing}},
        Case{"StrayWord", "garbage " + kPing + " " + kPing, {kSyntax, kPing, kPing}},
        Case{"ByteOrderMark", "\xEF\xBB\xBF" + kPing + kPing, {kSyntax, kPing, kPing}},
        Case{"HalfARequestInItsString", R"({"execute":"guest-pi)" + kPing + kPing, {kSyntax, kPing}},
        Case{"HalfARequestAtItsValue", R"({"execute":)" + kPing + kPing + kPing, {kSyntax, kPing, kPing}},
        Case{"HalfARequestAtItsKey", "{" + kPing + kPing, {kSyntax, kPing, kPing}},
        Case{"HalfARequestInItsWord", R"({"id":tr)" + kPing + kPing, {kSyntax, kPing, kPing}},
        Case{"HalfARequestInItsNumber", R"({"id":1)" + kPing + kPing, {kSyntax, kPing, kPing}},
        Case{"HalfARequestInAnEscape", "{\"id\":\"\\" + kPing + kPing, {kSyntax, kPing, kPing}},
        Case{"HalfAnArray", "[" + kPing + kPing + kPing, {kSyntax, kPing, kPing}},
        Case{"HalfAnAttempt", "x{\"id\":" + kPing + kPing + kPing, {kSyntax, kPing, kPing}},
        Case{"WrongRequestBehindAGoodOne",
             "x" + kPing + R"({"id":,})" + kPing,
             {kSyntax, kPing, kSyntax, kPing}},
        Case{"LostArgumentsAreNoRequest", R"({"id" 1,"arguments":{"a":{}}})" + kPing, {kSyntax, kPing}},
        Case{"CommandThatIsNoString", R"(x{"execute":1})" + kPing, {kSyntax, kPing}}),
    case_name);

const std::string kNul(1, '\0');

std::string ended_by(char byte) {
    return kPing + byte + kPing + byte;
}
Case garbage_ended_by(const char* name, char byte) {
    return {name, std::string("garbage [1,") + byte + "[]", {kSyntax, "[]"}};
}

INSTANTIATE_TEST_SUITE_P(
    OtherLineEnds, Stream,
    testing::Values(
        Case{"RequestsEndedByNul", ended_by('\0'), {kPing, kSyntax, kPing, kSyntax}},
        Case{"RequestsEndedByEscape", ended_by('\x1B'), {kPing, kSyntax, kPing, kSyntax}},
        Case{"ManyNulsCostOneLine", std::string(40, '\0') + kPing, {kSyntax, kPing}},
        garbage_ended_by("GarbageEndedByCr", '\r'), garbage_ended_by("GarbageEndedByUnitSeparator", '\x1F'),
        Case{"TabEndsNothing", "garbage\t[]\t" + kPing, {kSyntax, kPing}},
        Case{"DeleteEndsNothing", "garbage\x7F[]", {kSyntax}},
        Case{"NulInAStringIsAPartOfItsLine", std::string("[\"a\0b\"]\n", 8) + kPing, {kSyntax, kPing}},
        Case{"WrongRequestsEndedByNul",
             R"({"id":})" + kNul + R"({"id":})" + kNul + kPing + kNul,
             {kSyntax, kSyntax, kPing, kSyntax}},
        Case{"GarbageTwiceEndedByNul", "a" + kNul + "b" + kNul + kPing, {kSyntax, kSyntax, kPing}},
        Case{"NulInAStringThenARequest",
             std::string("{\"id\":\"\0", 8) + kPing + '\0',
             {kSyntax, kPing, kSyntax}},
        Case{"LineEndEndsAnAttempt", "% {\"id\":\n" + kPing + "\n", {kSyntax, kPing}},
        Case{"LineEndInAString", "{\"id\":\"\n" + kPing + "\n", {kSyntax, kPing}},
        Case{"ResetEndsAnAttempt", "% {\"id\":\xFF" + kPing, {kSyntax, "RESET", kPing}},
        Case{"RequestsOnABadLineAreAnswered",
             "!! " + kPing + " more " + kPing + " and more\n" + kPing + "\n",
             {kSyntax, kPing, kPing, kPing}}),
    case_name);

TEST(Limits, DeepObjectIsOneErrorWhateverIsInIt) {
    std::string deep;
    for (std::size_t at = 0; at < 3 * kMaxNesting; ++at) deep += "{\"a\":";
    EXPECT_EQ(take({deep + "1" + std::string(3 * kMaxNesting, '}') + "\n" + kPing}),
              (Events{"ERROR JSON nesting depth limit exceeded", kPing}));
}

TEST(Limits, ManyAttemptsOnABadLineAreMadeInTime) {
    // Were the rest of the line looked at again by each, it would take hours.
    std::string text = "x";
    text.append(std::size_t{4} << 20U, '{');
    EXPECT_EQ(take({text + kPing}), (Events{kSyntax, kPing}));
}

// Streams of words that go wrong in many ways.
class RandomStreams : public testing::TestWithParam<unsigned> {
protected:
    std::string stream() {
        static const std::string kWords[] = {kPing,
                                             kPing,
                                             "{",
                                             "}",
                                             "[",
                                             "]",
                                             ":",
                                             ",",
                                             "\"",
                                             "\\",
                                             "\"a\"",
                                             "1",
                                             "tr",
                                             "true",
                                             "x",
                                             " ",
                                             "\t",
                                             "\n",
                                             "\r",
                                             std::string(1, '\0'),
                                             "\x1B",
                                             "\xFF",
                                             "\xEF\xBB\xBF",
                                             "\xE5",
                                             "\"\xF0\x9F",
                                             "{\"execute\":\"a\"}",
                                             "{\"id\":",
                                             "\\u00"};
        std::string text;
        for (int at = 0; at < 40; ++at) text += kWords[random_() % std::size(kWords)];
        return text;
    }
    std::mt19937 random_{GetParam()};
};

// The parser words an error by what it has seen of it.
Events without_reasons(Events events) {
    for (std::string& one : events)
        if (one.starts_with("ERROR")) one.resize(5);
    return events;
}

TEST_P(RandomStreams, GiveTheSameHoweverTheyAreCut) {
    for (int round = 0; round < 500; ++round) {
        const std::string text = stream();
        const Events whole = without_reasons(take({text}));
        Framing framing;
        Events events;
        for (std::string_view rest = text; !rest.empty();) {
            const std::size_t size = std::min<std::size_t>(1 + random_() % 9, rest.size());
            const std::string piece(rest.substr(0, size));
            framing.feed(piece);
            collect(framing, events);
            rest.remove_prefix(size);
        }
        ASSERT_EQ(without_reasons(events), whole) << testing::PrintToString(text);
    }
}

TEST_P(RandomStreams, CostOneErrorForEachLineAndAnswerAtMost) {
    for (int round = 0; round < 500; ++round) {
        const std::string text = stream();
        std::size_t errors = 0;
        std::size_t others = 0;
        for (const std::string& one : take({text})) ++(one.starts_with("ERROR") ? errors : others);
        const auto ends =
            std::ranges::count_if(text, [](unsigned char byte) { return byte < ' ' && byte != '\t'; });
        ASSERT_LE(errors, 1 + others + static_cast<std::size_t>(ends)) << testing::PrintToString(text);
    }
}

TEST_P(RandomStreams, AreForgottenByTheThirdRequestThatFollows) {
    for (int round = 0; round < 500; ++round) {
        const std::string text = stream();
        const Events before = take({text});
        const Events after = take({text + kPing + kPing + kPing});
        ASSERT_GT(after.size(), before.size()) << testing::PrintToString(text);
        ASSERT_EQ(after.back(), kPing) << testing::PrintToString(text);
    }
}

INSTANTIATE_TEST_SUITE_P(, RandomStreams, testing::Range(1U, 9U));

TEST(Skipping, GoesOnUntilTheLineEnds) {
    EXPECT_EQ(take({"!! [\"execute\":", "\"guest-ping\"] more", "\n", kPing}), (Events{kSyntax, kPing}));
}

TEST(Skipping, CanBeAskedFor) {
    Framing framing;
    Events events;
    framing.skip_line();
    const std::string rest = "rest of something\"}\n" + kPing;
    framing.feed(rest);
    collect(framing, events);
    EXPECT_EQ(events, Events{kPing});
}

TEST(Skipping, ThatWasAskedForFindsTheNextRequestWithoutALineEnd) {
    Framing framing;
    Events events;
    framing.skip_line();
    const std::string rest = "rest of something\"}" + kPing;
    framing.feed(rest);
    collect(framing, events);
    EXPECT_EQ(events, Events{kPing});
}

}  // namespace
}  // namespace sallyport::worker
