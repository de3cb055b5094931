#include "broker/audit.hpp"

#include <gtest/gtest.h>
#include <sha2.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "scratch.hpp"

namespace sallyport::broker {
namespace {

std::string sha256(const std::string& text) {
    std::array<char, SHA256_DIGEST_STRING_LENGTH> digest{};
    ::SHA256Data(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), digest.data());
    return digest.data();
}

std::vector<std::string> lines(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> all;
    for (std::string line; std::getline(stream, line);) all.push_back(line);
    return all;
}

std::string previous_hash(const std::string& line) {
    return line.substr(line.find("\"prev\":\"") + 8, 64);
}

Record named(std::string_view what) {
    Record record;
    record.what = what;
    return record;
}

TEST(JsonLine, EveryByteThatIsNotPrintableAsciiIsEscaped) {
    JsonLine line;
    line.add("path", std::string_view("a\n\"\\\x7f\x1b[2J\xc2\x9b\0z", 13));
    EXPECT_EQ(line.text(), "{\"path\":\"a\\u000a\\\"\\\\\\u007f\\u001b[2J\\u00c2\\u009b\\u0000z\"}");
}

TEST(JsonLine, ObjectsNestAndMembersKeepTheirOrder) {
    JsonLine inner;
    inner.add("handle", std::int64_t{1000});
    JsonLine line;
    line.add("arguments", inner);
    line.add("bytes", std::int64_t{-1});
    EXPECT_EQ(line.text(), "{\"arguments\":{\"handle\":1000},\"bytes\":-1}");
}

TEST(Audit, TheFirstLineFollowsZerosAndEachLineTheHashOfTheOneBefore) {
    const ScratchDirectory scratch;
    auto audit = Audit::open(scratch.fd(), "digest");
    ASSERT_TRUE(audit);
    for (int i = 0; i < 3; ++i) audit->write(named("note"));
    const auto all = lines(scratch.read("audit.jsonl"));
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(previous_hash(all[0]), std::string(64, '0'));
    EXPECT_EQ(previous_hash(all[1]), sha256(all[0]));
    EXPECT_EQ(previous_hash(all[2]), sha256(all[1]));
}

TEST(Audit, ARestartGoesOnWithTheChain) {
    const ScratchDirectory scratch;
    Audit::open(scratch.fd(), "d")->write(named("before"));
    Audit::open(scratch.fd(), "d")->write(named("after"));
    const auto all = lines(scratch.read("audit.jsonl"));
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(previous_hash(all[1]), sha256(all[0]));
}

TEST(Audit, ALineCutOffByACrashIsEndedAndStaysInTheChain) {
    const ScratchDirectory scratch;
    scratch.write("audit.jsonl", "{\"whole\":1}\n{\"cut o");
    Audit::open(scratch.fd(), "d")->write(named("after"));
    const auto all = lines(scratch.read("audit.jsonl"));
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[1], "{\"cut o");
    EXPECT_EQ(previous_hash(all[2]), sha256("{\"cut o"));
}

TEST(Audit, TheIdentityOfALineIsTheStartOfItsHash) {
    const ScratchDirectory scratch;
    const std::string identity = Audit::open(scratch.fd(), "d")->write(named("refused"));
    EXPECT_EQ(identity, sha256(lines(scratch.read("audit.jsonl")).at(0)).substr(0, 12));
}

TEST(Audit, ALogThatIsNotARegularFileIsRefused) {
    const ScratchDirectory scratch;
    ASSERT_EQ(::mkfifo((scratch.path() / "audit.jsonl").c_str(), 0600), 0);
    EXPECT_FALSE(Audit::open(scratch.fd(), "d"));
}

TEST(Audit, ALogBehindASymbolicLinkIsRefused) {
    const ScratchDirectory scratch;
    std::filesystem::create_symlink("elsewhere", scratch.path() / "audit.jsonl");
    EXPECT_FALSE(Audit::open(scratch.fd(), "d"));
    EXPECT_FALSE(std::filesystem::exists(scratch.path() / "elsewhere"));
}

}  // namespace
}  // namespace sallyport::broker
