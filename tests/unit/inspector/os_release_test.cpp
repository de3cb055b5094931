// os-release is read as shells read it: by examples, and beside the shell of the machine.
#include "inspector/os_release.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <random>

#include "tests/support/cases.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::inspector {
namespace {

struct Example {
    const char* name;
    std::string text;
    OsRelease means;
};

class AnOsRelease : public testing::TestWithParam<Example> {};

TEST_P(AnOsRelease, MeansTheseVariables) {
    EXPECT_EQ(read_os_release(GetParam().text), GetParam().means);
}

const OsRelease kTwo{{"ID", "debian"}, {"NAME", "Debian GNU/Linux"}};

const Example kExamples[] = {
    {"Plain", "NAME=\"Debian GNU/Linux\"\nID=debian\n", kTwo},
    {"NoEndOfTheLastLine", "NAME=\"Debian GNU/Linux\"\nID=debian", kTwo},
    {"CrLf", "NAME=\"Debian GNU/Linux\"\r\nID=debian\r\n", kTwo},
    {"CrAtTheEnd", "NAME=\"Debian GNU/Linux\"\r\nID=debian\r", kTwo},
    {"BlankLines", "\n\nNAME=\"Debian GNU/Linux\"\n \t\n\r\nID=debian\n\n", kTwo},
    {"BlanksAroundEquals", "NAME = \"Debian GNU/Linux\"\nID\t=\tdebian\n", kTwo},
    {"BlanksBehindTheValue", "NAME=\"Debian GNU/Linux\" \t\nID=debian \n", kTwo},
    {"BlanksBeforeTheName", "  NAME=\"Debian GNU/Linux\"\n\tID=debian\n", kTwo},
    {"CommentBehindTheValue", "NAME=\"Debian GNU/Linux\" # the name\nID=debian #x\n", kTwo},
    {"CommentLines", "# NAME=x\nNAME=\"Debian GNU/Linux\"\n  #ID=x\nID=debian\n", kTwo},
    {"CommentWithAQuote", "# it's\nNAME=\"Debian GNU/Linux\" # it's\nID=debian\n", kTwo},
    {"SingleQuotes", "NAME='Debian GNU/Linux'\nID='debian'\n", kTwo},
    {"JoinedPieces", "NAME=\"Deb\"'ian G'NU/Linux\nID=d'eb'\"ia\"n\n", kTwo},
    {"EscapedBlank", "NAME=Debian\\ GNU/Linux\nID=\\d\\ebian\n", kTwo},
    {"LineGoesOn", "NAME=\"Debian \\\nGNU/Linux\"\nID=deb\\\nian\n", kTwo},
    {"Nuls", std::string("NAME=\"Debian GNU/Linux\"\nID=deb\0ian\n\0\0\0", 38), kTwo},
    {"ByteOrderMark", "\xEF\xBB\xBFNAME=\"Debian GNU/Linux\"\nID=debian\n", kTwo},
    {"TheLastCounts", "ID=other\nNAME=\"Debian GNU/Linux\"\nID=debian\n", kTwo},
    {"Semicolons", "NAME=\"Debian GNU/Linux\";ID=debian;\n", kTwo},
    {"TwoOnALine", "NAME=\"Debian GNU/Linux\" ID=debian\n", kTwo},
    {"LinesThatAreNoAssignments", "garbage\nNAME=\"Debian GNU/Linux\"\n=x\n[x]\n\"y\nID=debian\n", kTwo},
    {"HashInsideAWord", "A=b#c\nB=\"d\"#e\nC=#f\n", {{"A", "b#c"}, {"B", "d#e"}, {"C", "#f"}}},
    {"Empty", "A=\nB=\"\"\nC=''\nD= # d\nE= \n", {{"A", ""}, {"B", ""}, {"C", ""}, {"D", ""}, {"E", ""}}},
    {"EscapesInDoubleQuotes", R"(A="\$\"\\\`\'\n")", {{"A", R"($"\`\'\n)"}}},
    {"NoEscapesInSingleQuotes", R"(A='\$\"\\')", {{"A", R"(\$\"\\)"}}},
    {"NothingIsExpanded", "A=$B\nC=\"${D}`e`\"\nF=~\n", {{"A", "$B"}, {"C", "${D}`e`"}, {"F", "~"}}},
    {"ValueOfTwoLines", "A=\"b\nc\"\nD=e\n", {{"A", "b\nc"}, {"D", "e"}}},
    {"ValueWithBlanksThatIsNotQuoted", "A=b c d\nE=f\n", {{"A", "b"}, {"E", "f"}}},
    {"QuoteWithoutEnd", "A=b\nC=\"d\nE=f\n", {{"A", "b"}}},
    {"SingleQuoteWithoutEnd", "A=b\nC='d\nE=f\n", {{"A", "b"}}},
    {"BackslashAtTheEnd", "A=b\\", {{"A", "b\\"}}},
    {"EqualsInTheValue", "A=b=c\n", {{"A", "b=c"}}},
    {"NameAtTheEnd", "A=b\nC", {{"A", "b"}}},
    {"BlanksBetweenEmptyOnes", "A= B=\tC=\n", {{"A", ""}, {"B", ""}, {"C", ""}}},
    {"Nothing", "", {}},
};
INSTANTIATE_TEST_SUITE_P(, AnOsRelease, testing::ValuesIn(kExamples), test::case_name<Example>);

// Texts that every shell takes, as random as may be.
class Texts {
public:
    explicit Texts(unsigned seed) : random_(seed) {}

    std::string next() {
        std::string text;
        for (std::size_t lines = below(6) + 1; lines > 0; --lines) text += line();
        return text;
    }

private:
    std::size_t below(std::size_t end) { return random_() % end; }
    template <std::size_t count>
    std::string one_of(const std::array<const char*, count>& from) {
        return from[below(count)];
    }
    std::string some(std::string (Texts::*make)()) {
        std::string all;
        for (std::size_t left = below(4); left > 0; --left) all += (this->*make)();
        return all;
    }

    std::string line() {
        static constexpr std::array kOther{"\n", "# it's \"\n", " \t\n", "\t# x\\\n"};
        if (below(5) == 0) return one_of(kOther);
        std::string text = one_of(std::array{"", " ", "\t"}) + assignment();
        for (std::size_t more = below(3); more > 0; --more)
            text += one_of(std::array{" ", ";", " ; ", "\t"}) + assignment();
        return text + one_of(std::array{"\n", " \n", " # it's\n", ";\n", "\t#\\\n", ";# \"\n"});
    }
    std::string assignment() { return one_of(std::array{"A=", "B=", "NAME_1="}) + some(&Texts::piece); }
    std::string piece() {
        switch (below(4)) {
            case 0:
                return "'" + some(&Texts::single_quoted) + "'";
            case 1:
                return "\"" + some(&Texts::double_quoted) + "\"";
            case 2:
                return "\\" +
                       one_of(std::array{"a", " ", "\"", "'", "\\", "$", "#", ";", "\n", "`", "~", "="});
            default:
                return one_of(std::array{"a", "b", "=", "#", "/", "+", "%", "@", "*", "{", "}", "!",
                                         "\xC3\xBC", "[", ","});
        }
    }
    std::string single_quoted() {
        return one_of(std::array{"a", "\"", "\\", "$", "`", "\n", " ", "#", ";", "~", "\\\n"});
    }
    std::string double_quoted() {
        return one_of(
            std::array{"a", "'", "\\\"", "\\\\", "\\$", "\\`", "\\a", "\\'", "\\\n", "\n", " ", "#", ";"});
    }

    std::mt19937 random_;
};

// What a shell says that A, B and NAME_1 are in each of the texts, each with a NUL behind it.
std::string ask_shell(const test::Scratch& scratch, std::size_t texts) {
    const std::string command =
        "cd " + scratch.path() + "; at=0; while [ $at -lt " + std::to_string(texts) +
        " ]; do (. ./$at; printf '%s\\0' \"$A\" \"$B\" \"$NAME_1\"); at=$((at+1)); done";
    std::string said;
    std::FILE* shell = ::popen(command.c_str(), "r");
    for (int byte = 0; (byte = std::fgetc(shell)) != EOF;) said += static_cast<char>(byte);
    EXPECT_EQ(::pclose(shell), 0);
    return said;
}

TEST(RandomText, MeansWhatTheShellSays) {
    constexpr std::size_t kTexts = 1000;
    const test::Scratch scratch;
    Texts texts(7);
    std::vector<std::string> all;
    for (std::size_t at = 0; at < kTexts; ++at) {
        all.push_back(texts.next());
        std::ofstream(scratch.path(std::to_string(at)), std::ios::binary) << all.back();
    }
    const std::string said = ask_shell(scratch, kTexts);
    std::size_t start = 0;
    for (const std::string& text : all) {
        OsRelease found = read_os_release(text);
        for (const char* name : {"A", "B", "NAME_1"}) {
            const std::size_t end = said.find('\0', start);
            ASSERT_NE(end, said.npos);
            ASSERT_EQ(found[name], said.substr(start, end - start)) << name << " in:\n" << text;
            start = end + 1;
        }
    }
}

TEST(RandomBytes, EndInTime) {
    std::mt19937 random(3);
    constexpr std::string_view kBytes("A=\"'\\\n\r #;\t\0b", 14);
    for (int round = 0; round < 2000; ++round) {
        std::string text;
        for (int at = 0; at < 50; ++at) text += kBytes[random() % kBytes.size()];
        (void)read_os_release(text);
    }
    std::string large;
    while (large.size() < std::size_t{8} << 20U) large += "A='b\\\n";
    EXPECT_LE(read_os_release(large).size(), 1U);
}

}  // namespace
}  // namespace sallyport::inspector
