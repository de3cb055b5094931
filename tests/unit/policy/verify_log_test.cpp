// The chain of the audit log, followed over files.
#include <gtest/gtest.h>
#include <sha2.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/policy/tool_run.hpp"

namespace sallyport::policy {
namespace {

// A log of as many lines as wanted, each with the hash of the one before.
class VerifyLog : public testing::Test {
protected:
    VerifyLog() {
        std::string pattern = "/tmp/sallyport-verify-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
    }
    ~VerifyLog() override { std::filesystem::remove_all(folder_); }
    std::string path(const std::string& name) const { return folder_ + "/" + name; }
    std::string add(int count) {
        std::string text;
        for (int at = 0; at < count; ++at) {
            const std::string number = std::to_string(++lines_);
            const std::string line = "{\"time\":\"2026-01-01T00:00:" + std::string(9 - number.size(), '0') +
                                     number + "\",\"prev\":\"" + last_ + "\"}";
            std::array<char, SHA256_DIGEST_STRING_LENGTH> digest{};
            ::SHA256Data(reinterpret_cast<const std::uint8_t*>(line.data()), line.size(), digest.data());
            last_ = digest.data();
            text += line + "\n";
        }
        return text;
    }
    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(path(name)) << text;
        return path(name);
    }
    std::string folder_;
    std::string last_ = std::string(64, '0');
    int lines_ = 0;
};

TEST_F(VerifyLog, ThatHoldsOverFilesInAnyOrder) {
    const std::string first = write("c", add(10)), second = write("a", add(1)), third = write("b", add(5));
    const Outcome outcome = run({"verify-log", third, first, second});
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_NE(outcome.output.find("the chain holds over 16 lines from its beginning; the last has the hash " +
                                  last_),
              std::string::npos)
        << outcome.output;
    EXPECT_LT(outcome.output.find(first), outcome.output.find(second));
    EXPECT_LT(outcome.output.find(second), outcome.output.find(third));
}

TEST_F(VerifyLog, WhoseFirstFilesWereThrownAwayHolds) {
    add(10);
    EXPECT_EQ(run({"verify-log", write("kept", add(5))}).status, 0);
}

TEST_F(VerifyLog, LineThatWasChangedIsNamedByTheOneBehindIt) {
    std::string text = add(10);
    text.replace(text.find("000000003"), 9, "000000009");
    const std::string file = write("log", text);
    const Outcome outcome = run({"verify-log", file});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.output, file + ":4: does not follow the line before it\n");
}

TEST_F(VerifyLog, LineThatWasTakenOutIsNamed) {
    const std::string before = add(4);
    add(1);
    const std::string file = write("log", before + add(4));
    EXPECT_EQ(run({"verify-log", file}).output, file + ":5: does not follow the line before it\n");
}

TEST_F(VerifyLog, LineThatWasPutInIsNamed) {
    const std::string before = add(4);
    const std::string last = last_;
    // It follows the line before it, and is well made; the next does not follow it.
    const std::string put_in = add(1);
    last_ = last;
    const std::string file = write("log", before + put_in + add(4));
    const Outcome outcome = run({"verify-log", file});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.output, file + ":6: does not follow the line before it\n");
}

TEST_F(VerifyLog, LinesThatChangedPlacesAreNamed) {
    const std::string before = add(4);
    const std::string first = add(1);
    const std::string second = add(1);
    const std::string file = write("log", before + second + first + add(4));
    const Outcome outcome = run({"verify-log", file});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.output, file + ":5: does not follow the line before it\n");
}

TEST_F(VerifyLog, FileThatIsMissingOrCutOffAtItsEndIsNoticedAtTheNext) {
    const std::string first = write("1", add(5));
    add(3);
    const std::string third = write("3", add(5));
    const Outcome outcome = run({"verify-log", "--json", first, third});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_TRUE(outcome.output.starts_with("{\"holds\":false,\"file\":\"" + third + "\",\"line\":1,"))
        << outcome.output;
}

TEST_F(VerifyLog, LineThatACrashCutOffHoldsIfTheNextGoesOnFromIt) {
    std::string text = add(3) + "{\"cut";
    std::array<char, SHA256_DIGEST_STRING_LENGTH> digest{};
    ::SHA256Data(reinterpret_cast<const std::uint8_t*>("{\"cut"), 5, digest.data());
    last_ = digest.data();
    const Outcome outcome = run({"verify-log", write("log", text + "\n" + add(3))});
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_NE(outcome.output.find("1 lines were cut off"), std::string::npos);
    const Outcome put_in = run({"verify-log", write("other", add(3) + "anything\n" + add(3))});
    EXPECT_EQ(put_in.status, 1) << put_in.output;
}

TEST_F(VerifyLog, OfNothingOrOfWhatCannotBeReadIsUnusable) {
    EXPECT_EQ(run({"verify-log", path("missing")}).status, 2);
    EXPECT_EQ(run({"verify-log", write("empty", "")}).status, 2);
    EXPECT_EQ(run({"verify-log", folder_}).status, 2);
    EXPECT_EQ(run({"verify-log"}).status, 2);
}

TEST_F(VerifyLog, LineWithoutAnEndIsBadAndNotKeptInMemory) {
    EXPECT_EQ(run({"verify-log", write("log", add(1) + std::string(std::size_t{3} << 20U, 'x'))}).status, 1);
}

}  // namespace
}  // namespace sallyport::policy
