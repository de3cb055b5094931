// File commands: the same script to Debian's qemu-ga and to our agent under the compat profile, compared byte
// for byte, replies and files.
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "tests/e2e/side_by_side.hpp"
#include "tests/support/cases.hpp"

namespace sallyport::test {
namespace {

struct Script {
    const char* name;
    std::vector<std::string> steps;
};

class DifferentialFiles : public testing::TestWithParam<Script> {
protected:
    static void SetUpTestSuite() { pair_ = std::make_unique<SideBySide>(); }
    static void TearDownTestSuite() { pair_.reset(); }
    static std::unique_ptr<SideBySide> pair_;
};

std::unique_ptr<SideBySide> DifferentialFiles::pair_;

TEST_P(DifferentialFiles, SameRepliesAndSameFiles) {
    const Script& script = GetParam();
    const Outcome theirs = pair_->ask_qemu(script.steps);
    const Outcome ours = pair_->ask_ours(script.steps);
    for (std::size_t at = 0; at < script.steps.size(); ++at)
        EXPECT_EQ(ours.replies[at], theirs.replies[at]) << "step " << at << ": " << script.steps[at];
    EXPECT_EQ(ours.folder, theirs.folder);
}

/// Every mode with an existing and a new file, and what can be done with the handle.
std::vector<Script> mode_scripts() {
    struct Mode {
        const char* name;
        const char* text;
    };
    // clang-format off
    constexpr Mode kModes[] = {
        {"ModeR", "r"},   {"ModeRB", "rb"},          {"ModeW", "w"},          {"ModeWB", "wb"},          {"ModeA", "a"},
        {"ModeAB", "ab"}, {"ModeRPlus", "r+"},       {"ModeRBPlus", "rb+"},   {"ModeRPlusB", "r+b"},     {"ModeWPlus", "w+"},
        {"ModeWBPlus", "wb+"}, {"ModeWPlusB", "w+b"}, {"ModeAPlus", "a+"},    {"ModeABPlus", "ab+"},     {"ModeAPlusB", "a+b"},
        {"ModeRT", "rt"}, {"ModeRW", "rw"},          {"ModeWX", "wx"},        {"ModeRE", "re"},          {"ModeEmpty", ""},
        {"ModeUpperCase", "R"}, {"ModeWithSpace", "r "}, {"ModeBPlusA", "b+a"}, {"ModeDoublePlus", "r++"}, {"ModeLong", "rrrrrrrrrrrrrrrr"},
    };
    // clang-format on
    std::vector<Script> scripts;
    for (const Mode& mode : kModes)
        scripts.push_back(
            {mode.name,
             {open("text", mode.text), open("new", mode.text), read("$1", "5"), write("$1", "SEVMTE8="),
              seek("$1", "0", "1"), read("$1", "5"), write("$2", "bmV3"), seek("$2", "0", "0"), read("$2"),
              flush("$1"), close("$1"), close("$2")}});
    return scripts;
}
INSTANTIATE_TEST_SUITE_P(Modes, DifferentialFiles, testing::ValuesIn(mode_scripts()), case_name<Script>);

std::vector<Script> base64_scripts() {
    struct Data {
        const char* name;
        const char* text;
    };
    // clang-format off
    constexpr Data kData[] = {
        {"Base64Whole", "aGVsbG8="},        {"Base64Empty", ""},                  {"Base64GroupCutToThree", "aGk"},  {"Base64GroupCutToOne", "a"},
        {"Base64PaddingInside", "aGk=aGk="}, {"Base64PaddingFirst", "=aGk"},       {"Base64PaddingOnly", "===="},     {"Base64LineFeeds", "aGVs\\nbG8=\\n"},
        {"Base64LineFeedFirst", "\\naGVsbG8="}, {"Base64Space", "aGVs bG8="},     {"Base64CarriageReturn", "aGVs\\r\\nbG8="}, {"Base64UrlAlphabet", "-_-_"},
        {"Base64PlusAndSlash", "+/+/"},     {"Base64ThreePaddings", "a==="},      {"Base64TwoPaddings", "aa=="},     {"Base64NotAscii", "aGVs\\u00e9bG8="},
        {"Base64LooseBits", "aGl="},        {"Base64FiveCharacters", "aGVsb"},    {"Base64SixCharacters", "aGVsbG"}, {"Base64Tab", "aGVs\\tbG8="},
        {"Base64PaddingThenData", "aA==bGxv"}, {"Base64OnePaddingEarly", "a=Vs"},  {"Base64FivePaddings", "aGVsbG8====="}, {"Base64Exclamation", "aGVs!bG8="},
    };
    // clang-format on
    std::vector<Script> scripts;
    for (const Data& data : kData)
        scripts.push_back(
            {data.name, {open("out", "w+"), write("$1", data.text), seek("$1", "0", "0"), read(), close()}});
    return scripts;
}
INSTANTIATE_TEST_SUITE_P(Base64, DifferentialFiles, testing::ValuesIn(base64_scripts()), case_name<Script>);

std::vector<Script> seek_scripts() {
    struct Seek {
        const char* name;
        const char* offset;
        const char* whence;
    };
    // clang-format off
    constexpr Seek kSeeks[] = {
        {"SeekSetByNumber", "3", "0"},      {"SeekCurByNumber", "3", "1"},     {"SeekEndByNumber", "-3", "2"},    {"SeekSetByName", "3", "\"set\""},
        {"SeekCurByName", "-2", "\"cur\""}, {"SeekEndByName", "-1", "\"end\""}, {"SeekBeyondTheEnd", "100", "0"}, {"SeekBeforeTheStart", "-1", "0"},
        {"SeekFarBeforeTheEnd", "-100", "2"}, {"SeekLargest", "9223372036854775807", "0"}, {"SeekOverflowing", "9223372036854775807", "1"},
        {"WhenceThree", "0", "3"},          {"WhenceMinusOne", "0", "-1"},     {"WhenceLarge", "0", "9223372036854775807"}, {"WhenceUpperCase", "0", "\"SET\""},
        {"WhenceUnknownName", "0", "\"middle\""}, {"WhenceEmptyName", "0", "\"\""}, {"WhenceUnspecified", "0", "\"unspecified\""},
        {"WhenceNull", "0", "null"},        {"WhenceTrue", "0", "true"},       {"WhenceArray", "0", "[]"},        {"WhenceObject", "0", "{}"},
        {"WhenceFraction", "0", "1.5"},     {"WhenceWholeFraction", "0", "1.0"}, {"WhenceBeyondInt64", "0", "9223372036854775808"},
        {"OffsetText", "\"0\"", "0"},       {"OffsetFraction", "0.0", "0"},    {"OffsetBeyondInt64", "9223372036854775808", "0"}, {"OffsetNull", "null", "0"},
    };
    // clang-format on
    std::vector<Script> scripts;
    for (const Seek& one : kSeeks)
        scripts.push_back(
            {one.name,
             {open("text", "r"), read("$1", "4"), seek("$1", one.offset, one.whence), read("$1", "5")}});
    return scripts;
}
INSTANTIATE_TEST_SUITE_P(Seek, DifferentialFiles, testing::ValuesIn(seek_scripts()), case_name<Script>);

// clang-format off
const Script kReads[] = {
    {"EndOfFileOfTenThousandBytes", {open("ten", "r"), read(), read(), read(), read(), read()}},
    {"ReadOfExactlyTheSizeIsNotTheEnd", {open("page", "r"), read("$1", "4096"), read(), read()}},
    {"ReadOfExactlySmallSize", {open("text", "r"), read("$1", "16"), read("$1", "1")}},
    {"ReadOneMoreThanTheSize", {open("text", "r"), read("$1", "17")}},
    {"CountZero", {open("text", "r"), read("$1", "0"), read("$1", "0"), read("$1", "3")}},
    {"CountZeroAtTheEnd", {open("empty", "r"), read("$1", "1"), read("$1", "0"), read("$1", "1")}},
    {"CountMinusOne", {open("text", "r"), read("$1", "-1"), read("$1", "3")}},
    {"CountLargestAllowed", {open("text", "r"), read("$1", "50331648")}},
    {"CountOneTooLarge", {open("text", "r"), read("$1", "50331649"), read("$1", "2")}},
    {"CountLargestInteger", {open("text", "r"), read("$1", "9223372036854775807")}},
    {"CountSmallestInteger", {open("text", "r"), read("$1", "-9223372036854775808")}},
    {"CountBeyondInteger", {open("text", "r"), read("$1", "9223372036854775808")}},
    {"CountFraction", {open("text", "r"), read("$1", "1.0")}},
    {"CountNull", {open("text", "r"), read("$1", "null")}},
    {"CountText", {open("text", "r"), read("$1", "\"1\"")}},
    {"EmptyFileIsAtItsEnd", {open("empty", "r"), read(), read()}},
    {"ReadOnAfterTheFileGrew", {open("text", "r"), read(), open("text", "a"), write("$2", "bW9yZQ=="), flush("$2"), read(), read()}},
    {"ReadOfWriteOnlyHandle", {open("text", "a"), read()}},
    {"ReadOfDirectory", {open("sub", "r"), read(), read("$1", "0"), seek("$1", "0", "0"), close()}},
    {"ReadOfUnknownHandle", {read("999"), read("-1"), read("0"), read("9223372036854775807")}},
    {"ReadOfClosedHandle", {open("text", "r"), close(), read(), close()}},
    {"TwoHandlesOfOneFileAreIndependent", {open("text", "r"), open("text", "r"), read("$1", "5"), read("$2", "3"), read("$1", "3"), close("$1"), read("$2", "2")}},
};
const Script kWrites[] = {
    {"InterleavedWriteGoesWhereTheClientHasReadTo", {open("text", "r+"), seek("$1", "0", "0"), read("$1", "5"), write("$1", "WFk="), read("$1", "3"), close()}},
    {"ReadAfterWriteGoesOn", {open("text", "r+"), write("$1", "QUJD"), read("$1", "3"), write("$1", "REVG"), seek("$1", "0", "0"), read()}},
    {"AppendedWriteIgnoresSeek", {open("text", "a+"), seek("$1", "0", "0"), write("$1", "VEFJTA=="), seek("$1", "0", "0"), read()}},
    {"AppendingReadStartsAtTheStart", {open("text", "a+"), read("$1", "5"), write("$1", "VEFJTA=="), read("$1", "5")}},
    {"WriteCountShortensTheData", {open("out", "w"), write("$1", "aGVsbG8=", "3"), close()}},
    {"WriteCountZero", {open("out", "w"), write("$1", "aGVsbG8=", "0"), close()}},
    {"WriteCountIsTheLength", {open("out", "w"), write("$1", "aGVsbG8=", "5"), close()}},
    {"WriteCountTooLarge", {open("out", "w"), write("$1", "aGVsbG8=", "6"), close()}},
    {"WriteCountNegative", {open("out", "w"), write("$1", "aGVsbG8=", "-1"), close()}},
    {"WriteCountOfNothing", {open("out", "w"), write("$1", "", "0"), write("$1", "", "1"), close()}},
    {"WriteBadBase64AndBadCount", {open("out", "w"), write("$1", "a!", "-1"), close()}},
    {"WriteToUnknownHandle", {write("999", "aGVsbG8="), write("999", "")}},
    {"WriteBadCountToUnknownHandle", {write("999", "aGVsbG8=", "-1"), read("999", "-1")}},
    {"WriteToReadOnlyHandle", {open("text", "r"), write("$1", "aGVsbG8="), flush(), close()}},
    {"WriteBeyondTheEndLeavesAHole", {open("out", "w+"), seek("$1", "10", "0"), write("$1", "aGk="), seek("$1", "0", "0"), read()}},
    {"FlushOfReadOnlyHandle", {open("text", "r"), flush(), read("$1", "2"), flush(), read("$1", "2")}},
    {"FlushOfUnknownHandle", {flush("999"), close("999"), seek("999", "0", "0")}},
    {"CloseTwice", {open("text", "r"), close(), close()}},
    {"WriteToDeviceFull", {command("guest-file-open", R"({"path":"/dev/full","mode":"w"})"), write("$1", ""), close()}},
    {"WriteToDeviceNull", {command("guest-file-open", R"({"path":"/dev/null","mode":"r+"})"), write("$1", "aGk="), read(), close()}},
};
const Script kOpens[] = {
    {"DefaultModeReads", {command("guest-file-open", R"({"path":"$D/text"})"), read("$1", "4"), write("$1", "aGk=")}},
    {"MissingFile", {open("missing", "r"), open("missing", "r+"), open("missing/below", "w"), open("text/below", "r")}},
    {"DirectoryForWriting", {open("sub", "w"), open("sub", "a"), open("sub", "r+"), open("sub", "w+")}},
    {"NewFileIsForAll", {open("made", "w"), close()}},
    {"NewFileInFolderThatIsNotThere", {open("nope/made", "w")}},
    {"TruncatedFileKeepsItsPermissions", {open("text", "w"), close()}},
    {"FifoWithoutReaderForWriting", {open("fifo", "w"), open("fifo", "a")}},
    {"FifoWithoutWriterIsAtItsEnd", {open("fifo", "r"), read(), read("$1", "0"), seek("$1", "0", "0"), close()}},
    {"FifoWithWriterAndNoData", {open("fifo", "r+"), read("$1", "10"), close()}},
    {"SocketCannotBeOpened", {open("socket", "r"), open("socket", "w")}},
    {"LinkIsFollowed", {open("link", "r"), read("$1", "5"), open("link", "a"), write("$2", "aGk="), close("$2")}},
    {"LinkedFolderIsFollowed", {open("sublink/inner", "r"), read()}},
    {"DanglingLinkForReading", {open("dangling", "r")}},
    {"HardLinkIsTheFile", {open("hard", "r+"), write("$1", "SEFSRA=="), close()}},
    {"EmptyPath", {command("guest-file-open", R"({"path":""})"), command("guest-file-open", R"({"path":"","mode":"w"})")}},
    {"RelativePath", {command("guest-file-open", R"({"path":"work/text"})"), read("$1", "5"), command("guest-file-open", R"({"path":"work/none"})")}},
    {"DoubledSlashes", {command("guest-file-open", R"({"path":"$D//sub///inner"})"), read()}},
    {"DotComponents", {command("guest-file-open", R"({"path":"$D/./sub/../text"})"), read("$1", "5"), command("guest-file-open", R"({"path":"$D/sub/.."})"), read("$2")}},
    {"RootFolder", {command("guest-file-open", R"({"path":"/"})"), read(), command("guest-file-open", R"({"path":"/","mode":"w"})")}},
    {"PathWithUnicode", {open("\\u00e9\\ud83d\\ude00", "w"), close(), open("\\u00e9\\ud83d\\ude00", "r"), open("\\u00e9", "r")}},
    {"PathWithQuotesInTheReply", {open("a\\\"b\\\\c\\n", "r")}},
    {"PathOfTwoHundredSixtyLetters", {open(std::string(260, 'n'), "r"), open(std::string(260, 'n'), "w")}},
    {"PathOfFiveThousandLetters", {command("guest-file-open", "{\"path\":\"/" + std::string(5000, 'n') + "\"}")}},
    {"BadModeAndMissingFile", {open("missing", "q"), open("$D", "q")}},
    {"DanglingLinkForWriting", {open("dangling", "w"), write("$1", "aGk="), close("$1"), open("dangling", "r"), read("$2")}},
    {"DanglingLinkForAppending", {open("dangling", "a"), write("$1", "aGk="), close("$1")}},
    {"LoopOfLinks", {open("loop", "r"), open("loop", "w"), open("loop/x", "r"), open("loop", "r+")}},
    {"SlashAfterAFile", {open("text/", "r"), open("text/", "r+"), open("text/", "w"), open("text/", "a+"), open("text//", "r")}},
    {"SlashAfterNothing", {open("new/", "w"), open("new/", "a"), open("new/", "w+"), open("new/", "r"), open("nope/new/", "w")}},
    {"SlashAfterAFolder", {open("sub/", "r"), open("sub//", "r"), open("sub/", "w")}},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(Reads, DifferentialFiles, testing::ValuesIn(kReads), case_name<Script>);
INSTANTIATE_TEST_SUITE_P(Writes, DifferentialFiles, testing::ValuesIn(kWrites), case_name<Script>);
INSTANTIATE_TEST_SUITE_P(Opens, DifferentialFiles, testing::ValuesIn(kOpens), case_name<Script>);

// Where our files behave otherwise on purpose.

class DeliberateFileDifferences : public DifferentialFiles {};

TEST_F(DeliberateFileDifferences, OurWritesReachTheFileAtOnce) {
    // qemu-ga keeps eleven bytes in its stdio buffer until flush; a reader of the file sees nothing of them.
    const std::vector<std::string> steps{open("out", "w"), write("$1", "aGVsbG8gd29ybGQ="), open("out", "r"),
                                         read("$2")};
    EXPECT_EQ(pair_->ask_qemu(steps).replies[3],
              "{\"return\": {\"count\": 0, \"buf-b64\": \"\", \"eof\": true}}\n");
    EXPECT_EQ(pair_->ask_ours(steps).replies[3],
              "{\"return\": {\"count\": 11, \"buf-b64\": \"aGVsbG8gd29ybGQ=\", \"eof\": true}}\n");
}

TEST_F(DeliberateFileDifferences, OurFullDeviceShowsAtTheWriteAndNotAtTheFlush) {
    const std::vector<std::string> steps{command("guest-file-open", R"({"path":"/dev/full","mode":"w"})"),
                                         write("$1", "aGk="), flush("$1"), close("$1")};
    const Outcome theirs = pair_->ask_qemu(steps);
    const Outcome ours = pair_->ask_ours(steps);
    EXPECT_EQ(theirs.replies[2], error_line("failed to flush file: No space left on device") + "\n");
    EXPECT_EQ(ours.replies[1], error_line("failed to write to file: No space left on device") + "\n");
    EXPECT_EQ(ours.replies[2], "{\"return\": {}}\n");
    EXPECT_EQ(ours.replies[3], "{\"return\": {}}\n");
}

TEST_F(DeliberateFileDifferences, OurPartialReadOfAFifoLosesNothing) {
    // qemu-ga answers `Resource temporarily unavailable` and throws the three bytes away.
    const std::vector<std::string> steps{open("fifo", "r+"), write("$1", "YWJj"), read("$1", "4096")};
    EXPECT_EQ(pair_->ask_ours(steps).replies[2],
              "{\"return\": {\"count\": 3, \"buf-b64\": \"YWJj\", \"eof\": false}}\n");
}

TEST_F(DeliberateFileDifferences, OurDataIsDecodedBeforeTheHandleIsLookedUp) {
    // The worker decodes, the broker knows the handles.
    const std::vector<std::string> steps{write("999", "a!")};
    EXPECT_EQ(pair_->ask_qemu(steps).replies[0], error_line("handle '999' has not been found") + "\n");
    EXPECT_EQ(pair_->ask_ours(steps).replies[0],
              error_line("Base64 data contains invalid characters") + "\n");
}

}  // namespace
}  // namespace sallyport::test
