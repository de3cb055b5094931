#include "broker/serve/audit.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "ipc/channel.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {
namespace {

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

Record named(std::string_view what, Verdict verdict = Verdict::kAllowed) {
    Record record{.verdict = verdict, .what = what};
    return record;
}

// The broker's part, with a recorder played by the test.
class Composed : public testing::Test {
protected:
    void SetUp() override {
        policy_.digest = std::string(32, 'd');
        start();
    }
    void start() {
        auto ring = ipc::Ring::create();
        auto sockets = ipc::socket_pair();
        ASSERT_TRUE(ring && sockets);
        auto mapped = ipc::Ring::map(UniqueFd(::fcntl(ring->fd().get(), F_DUPFD_CLOEXEC, 3)));
        ASSERT_TRUE(mapped);
        ring_.emplace(*std::move(mapped));
        recorder_ = std::move(sockets->second);
        auto audit = Audit::open(*std::move(ring), std::move(sockets->first), policy_);
        ASSERT_TRUE(audit);
        audit_.emplace(*std::move(audit));
    }
    std::vector<std::string> taken() {
        std::vector<std::string> all;
        std::string line;
        while (ring_->take(position_, line).value_or(false)) all.push_back(line);
        ring_->words().taken = position_;
        return all;
    }
    // What is written on standard error meanwhile.
    template <typename Body>
    std::string journal(const Body& body) {
        testing::internal::CaptureStderr();
        body();
        return testing::internal::GetCapturedStderr();
    }

    policy::Policy policy_;
    std::optional<ipc::Ring> ring_;
    std::optional<Audit> audit_;
    UniqueFd recorder_;
    std::uint64_t position_ = 0;
};

TEST_F(Composed, TheIdentityOfALineIsItsRunAndNumber) {
    const std::string identity = audit_->write(named("guest-file-open", Verdict::kRefused));
    const std::string line = taken().at(0);
    const std::string run = line.substr(line.find("\"run\":\"") + 7, 8);
    EXPECT_EQ(identity, run + "-1");
    EXPECT_NE(line.find("\"seq\":1,"), std::string::npos);
}

TEST_F(Composed, ALineThatFindsNoRoomHasNoIdentityAndIsCountedInTheNext) {
    Record record = named("guest-file-open");
    record.arguments.add("path", std::string(4000, 'x'));
    std::string identity;
    do identity = audit_->write(record);
    while (!identity.empty());
    EXPECT_EQ(audit_->write(record), "");
    EXPECT_FALSE(audit_->is_recording());
    taken();
    EXPECT_TRUE(audit_->is_recording());
    EXPECT_NE(audit_->write(record), "");
    EXPECT_NE(taken().at(0).find("\"lost\":2,"), std::string::npos);
    audit_->write(record);
    EXPECT_EQ(taken().at(0).find("\"lost\""), std::string::npos);
}

TEST_F(Composed, WhatIsNotWrittenForItsRateIsCountedInTheNextLineByName) {
    for (int at = 0; at < 1000; ++at) audit_->write(named("connect-refused", Verdict::kRefused));
    ASSERT_EQ(taken().size(), 1U);
    audit_->write(named("start", Verdict::kNote));
    EXPECT_NE(taken().at(0).find("\"unwritten\":{\"connect-refused\":999}"), std::string::npos);
}

TEST_F(Composed, WhatIsCountedAndHasNoLineBehindItIsWrittenAtTheEnd) {
    audit_->write_counts();
    EXPECT_TRUE(taken().empty());
    for (int at = 0; at < 1000; ++at) audit_->write(named("connect-refused", Verdict::kRefused));
    taken();
    audit_->write_counts();
    EXPECT_NE(taken().at(0).find("\"unwritten\":{\"connect-refused\":999}"), std::string::npos);
}

// What a worker that was taken over can do again and again under any policy.
TEST_F(Composed, AWorkerThatGoesOnAloneAgainAndAgainIsCounted) {
    for (int at = 0; at < 1000; ++at) audit_->write(named("worker-alone", Verdict::kNote));
    const std::size_t written = taken().size();
    EXPECT_LE(written, 61U);
    audit_->write(named("start", Verdict::kNote));
    EXPECT_NE(taken().at(0).find("\"unwritten\":{\"worker-alone\":" + std::to_string(1000 - written) + "}"),
              std::string::npos);
}

TEST_F(Composed, ALineThatIsTooLongForTheLogIsShortened) {
    Record record = named("launch-ended", Verdict::kNote);
    record.arguments.add("output", std::string(10'000, '\n'));
    EXPECT_NE(audit_->write(record), "");
    const std::string line = taken().at(0);
    EXPECT_LT(line.size(), kMaxLogLine);
    EXPECT_NE(line.find("\"shortened\":\"{\\\"output\\\":"), std::string::npos);
}

TEST_F(Composed, ALongLineIsShortenedInTheJournalNeverLeftOut) {
    Record record = named("guest-file-open", Verdict::kRefused);
    std::string path;
    while (path.size() < 4000) path += "/.";
    record.arguments.add("path", path);
    const std::string seen = journal([&] { audit_->write(record); });
    EXPECT_LE(seen.size(), kMaxJournalLine);
    EXPECT_NE(seen.find("\"what\":\"guest-file-open\""), std::string::npos);
    EXPECT_NE(seen.find("\"shortened\":\"{\\\"path\\\":\\\"/././."), std::string::npos);
    EXPECT_TRUE(seen.ends_with("}\n"));
    EXPECT_NE(taken().at(0).find(path), std::string::npos) << "the log has it whole";
}

TEST_F(Composed, TheJournalGetsRefusalsPowerAndFreezesButNoReadAndNoPoll) {
    const std::string seen = journal([&] {
        for (const char* what : {"guest-file-read", "guest-get-time", "guest-get-load", "guest-file-write"})
            audit_->write(named(what));
        audit_->write(named("guest-file-open", Verdict::kFailed));
        audit_->write(named("connect", Verdict::kNote));
        for (const char* what : {"guest-shutdown", "guest-fsfreeze-freeze", "guest-fstrim"}) {
            audit_->write(named(what));
            audit_->write(named(what, Verdict::kFailed));
        }
        audit_->write(named("guest-file-open", Verdict::kRefused));
        audit_->write(named("violation", Verdict::kViolation));
        audit_->write(named("launch-ended", Verdict::kFailed));
        audit_->write(named("start", Verdict::kNote));
    });
    EXPECT_EQ(std::ranges::count(seen, '\n'), 10) << seen;
    for (const char* what :
         {"guest-file-read", "guest-get-time", "guest-get-load", "guest-file-write", "connect"})
        EXPECT_EQ(seen.find(what), std::string::npos) << what;
    EXPECT_EQ(taken().size(), 16U) << "the log has all";
}

TEST_F(Composed, TheJournalGetsAllIfTheAdminSaysSo) {
    policy_.audit.journal_all = true;
    start();
    const std::string seen = journal([&] { audit_->write(named("guest-file-read")); });
    EXPECT_NE(seen.find("guest-file-read"), std::string::npos);
}

TEST_F(Composed, WhileItIsHeldNothingIsWrittenToTheJournalAndTheRecorderIsTold) {
    audit_->hold();
    EXPECT_EQ(ring_->words().is_held, 1U);
    EXPECT_EQ(journal([&] { audit_->write(named("start", Verdict::kNote)); }), "");
    EXPECT_TRUE(audit_->is_recording());
    const std::string seen = journal([&] { audit_->release(); });
    EXPECT_NE(seen.find("\"what\":\"start\""), std::string::npos);
    EXPECT_EQ(ring_->words().is_held, 0U);
}

TEST_F(Composed, WhereTheLogIsNotOnWhatIsFrozenBothGoOnAndTheJournalOnlyIfItIsNoFile) {
    for (const bool is_file : {false, true}) {
        const UniqueFd before(::dup(STDERR_FILENO));
        const UniqueFd file(::memfd_create("journal", MFD_CLOEXEC));
        const auto sockets = ipc::socket_pair();
        ASSERT_TRUE(sockets);
        ::dup2(is_file ? file.get() : sockets->second.get(), STDERR_FILENO);
        start();
        ::dup2(before.get(), STDERR_FILENO);
        audit_->hold();
        EXPECT_EQ(journal([&] { audit_->write(named("start", Verdict::kNote)); }), "");
        EXPECT_EQ(journal([&] { audit_->go_on(); }).empty(), is_file);
        EXPECT_EQ(ring_->words().is_held, 0U);
        EXPECT_EQ(journal([&] { audit_->write(named("stop", Verdict::kNote)); }).empty(), is_file);
        EXPECT_EQ(journal([&] { audit_->release(); }).empty(), !is_file);
    }
}

TEST_F(Composed, ASleepingRecorderIsWokenOnceUntilItSleepsAgain) {
    ipc::Frame frame;
    audit_->write(named("start", Verdict::kNote));
    EXPECT_FALSE(ipc::receive(recorder_, frame).value_or(true)) << "it did not sleep";
    ring_->words().is_asleep = 1;
    audit_->write(named("start", Verdict::kNote));
    audit_->write(named("start", Verdict::kNote));
    EXPECT_TRUE(ipc::receive(recorder_, frame).value_or(false));
    EXPECT_FALSE(ipc::receive(recorder_, frame).value_or(true));
}

TEST_F(Composed, IsSyncedOnlyWhenTheRecorderSaysSoOfTheLastLine) {
    audit_->write(named("guest-shutdown"));
    audit_->want_sync();
    EXPECT_FALSE(audit_->is_synced());
    ring_->words().synced = ring_->words().sync_wanted - 1;
    EXPECT_FALSE(audit_->is_synced());
    ring_->words().synced = ring_->words().put.load();
    EXPECT_TRUE(audit_->is_synced());
}

TEST_F(Composed, ARecorderThatSaysAnythingAllTheTimeIsHeardABitAtATime) {
    constexpr int kSaid = 100;
    for (int at = 0; at < kSaid; ++at) ASSERT_TRUE(ipc::send(recorder_, "w", ipc::WhenFull::kFail));
    recorder_.reset();
    // The end comes behind what was said before it.
    EXPECT_TRUE(audit_->hear());
    int turns = 1;
    while (audit_->hear() && turns < kSaid) ++turns;
    EXPECT_GT(turns, 2);
    EXPECT_LT(turns, kSaid);
}

TEST_F(Composed, ARecorderThatIsGoneIsHeard) {
    EXPECT_TRUE(audit_->hear());
    recorder_.reset();
    const auto heard = audit_->hear();
    ASSERT_FALSE(heard);
    EXPECT_EQ(heard.error().code, Errc::kClosed);
}

}  // namespace
}  // namespace sallyport::broker
