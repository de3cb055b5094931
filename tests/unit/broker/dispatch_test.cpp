#include "broker/serve/dispatch.hpp"

#include <filesystem>

#include "room.hpp"

namespace sallyport::broker {
namespace {

using Op = ipc::Request;

class Dispatch : public Room {
protected:
    std::int64_t open(const char* mode, const char* name = "file") {
        Op request;
        request.mutable_file_open()->set_path(scratch_.path() / name);
        request.mutable_file_open()->set_mode(mode);
        EXPECT_FALSE(ask(request));
        const Reply opened = reply();
        EXPECT_TRUE(opened.has_file_open());
        return opened.file_open().handle();
    }
    /// A write of two parts, of which the first has come.
    void begin_write(std::int64_t handle) {
        Op request;
        request.mutable_file_write()->set_handle(handle);
        request.mutable_bulk()->set_total(kChunk + 3);
        request.mutable_bulk()->mutable_first()->set_size(kChunk);
        EXPECT_FALSE(ask(request));
        EXPECT_TRUE(reply().has_chunk_used());
    }
    [[nodiscard]] Op part(std::uint32_t size) const {
        Op request;
        request.set_seq(session_->worker.last_seq);
        request.mutable_chunk_filled()->mutable_data()->set_size(size);
        return request;
    }
};

TEST_F(Dispatch, AWriteInPartsHasOneReplyAndOneLine) {
    begin_write(open("w"));
    EXPECT_EQ(lines().size(), 1U) << "of the open";
    EXPECT_EQ(phase_of(*session_), Phase::kWriting);
    EXPECT_FALSE(say(part(3)));
    EXPECT_EQ(reply().file_write().count(), std::int64_t{kChunk} + 3);
    EXPECT_EQ(phase_of(*session_), Phase::kIdle);
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], "guest-file-write") && has(log[0], "\"bytes\":" + std::to_string(kChunk + 3)))
        << log[0];
}

TEST_F(Dispatch, AViolationInTheMiddleOfATransferLeavesItsLineForTheEndOfItsWorker) {
    begin_write(open("w"));
    EXPECT_EQ(lines().size(), 1U) << "of the open";
    EXPECT_TRUE(say(part(4))) << "more than was announced";
    EXPECT_TRUE(lines().empty());
    forget_worker(*session_, *audit_);
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("verdict":"fail","what":"guest-file-write")")) << log[0];
    EXPECT_TRUE(has(log[0], "the worker ended") && has(log[0], "\"bytes\":" + std::to_string(kChunk)));
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
}

TEST_F(Dispatch, ARequestWhoseFrameBreaksTheContractHasNeitherLineNorReply) {
    const std::int64_t handle = open("w");
    EXPECT_EQ(lines().size(), 1U);
    Op request;
    request.mutable_file_write()->set_handle(handle);
    request.mutable_file_write()->set_buf_b64("YQ==");
    request.mutable_bulk()->set_total(1);
    request.mutable_bulk()->mutable_first()->set_size(1);
    EXPECT_TRUE(ask(request));
    EXPECT_TRUE(lines().empty());
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
    EXPECT_EQ(phase_of(*session_), Phase::kIdle);
}

TEST_F(Dispatch, AnotherRequestDuringATransferIsAViolation) {
    const std::int64_t handle = open("w");
    begin_write(handle);
    Op close;
    close.mutable_file_close()->set_handle(handle);
    EXPECT_TRUE(ask(close));
    EXPECT_TRUE(session_->files.contains(handle));
}

TEST_F(Dispatch, AFileBehindALinkIsKeptUnderTheTermsOfWhereItLies) {
    constexpr std::int64_t kFarOff = std::int64_t{1} << 40U;
    policy::Rule other{.id = "other", .effect = policy::Effect::kAllow, .expires = kFarOff};
    other.commands.add(CommandId::kFileOpen);
    policy::FileRule files = policy_.rules[0].files[0];
    files.under = scratch_.path() / "other";
    files.max_size = 4;
    other.files.push_back(files);
    policy_.rules[0].files[0].follow_symlinks = true;
    policy_.rules.push_back(other);
    std::filesystem::create_directory(scratch_.path() / "other");
    scratch_.write("other/file", "file");
    std::filesystem::create_symlink("other/file", scratch_.path() / "link");
    const std::int64_t handle = open("r+", "link");
    ASSERT_TRUE(session_->files.contains(handle));
    const OpenFile& file = session_->files.at(handle);
    EXPECT_EQ(file.rule, "other");
    EXPECT_EQ(file.max_size, 4U);
    EXPECT_EQ(policy_.rules[file.by].expires, kFarOff);
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("rule":"other")")) << log[0];
    const std::int64_t plain = open("w");
    EXPECT_EQ(session_->files.at(plain).max_size, std::nullopt);
    EXPECT_EQ(session_->files.at(plain).rule, "all");
}

TEST_F(Dispatch, AFrameOutOfOrderChangesNothing) {
    Op request;
    request.mutable_fsfreeze_thaw();
    request.set_seq(5);
    EXPECT_TRUE(say(request));
    EXPECT_EQ(session_->worker.last_seq, 0U);
    EXPECT_TRUE(lines().empty());
    EXPECT_FALSE(ask(request)) << "with the number that is due";
    EXPECT_EQ(reply().seq(), 1U);
}

TEST_F(Dispatch, APowerOrderHasItsLineBeforeAnythingIsStarted) {
    ASSERT_FALSE(ask(&Op::mutable_suspend_ram));
    ASSERT_TRUE(session_->launch && !session_->launch->is_told);
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("verdict":"allow","what":"guest-suspend-ram")")) << log[0];
    EXPECT_EQ(phase_of(*session_), Phase::kWaiting);
    ipc::Outcome outcome;
    outcome.set_kind(ipc::Outcome::EXITED);
    outcome.set_number(3);
    conclude_launch(context(), outcome);
    EXPECT_EQ(reply().error().exit_status(), 3);
    EXPECT_EQ(phase_of(*session_), Phase::kIdle);
    const auto end = lines();
    ASSERT_EQ(end.size(), 1U);
    EXPECT_TRUE(has(end[0], "launch-ended")) << end[0];
}

TEST_F(Dispatch, RequestsOfTwoWorkersDoNotMix) {
    ASSERT_FALSE(ask(&Op::mutable_suspend_ram));
    replace_worker();
    EXPECT_EQ(lines().size(), 1U);
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    ipc::Outcome outcome;
    outcome.set_kind(ipc::Outcome::DONE);
    conclude_launch(context(), outcome);
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET) << "it is the earlier worker's";
    auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("session":1)") && has(log[0], "launch-ended")) << log[0];
    EXPECT_EQ(phase_of(*session_), Phase::kInspecting) << "its own request goes on";
    ipc::InspectorReply late;
    late.mutable_query_failed()->set_query(session_->queries);
    late.mutable_query_failed()->set_reason(ipc::CRASHED);
    take_inspected(context(), late);
    EXPECT_EQ(reply().error().reason(), ipc::CRASHED);
    log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("session":2)") && has(log[0], "guest-get-time")) << log[0];
}

TEST_F(Dispatch, WhatTheInspectorSaysAboutAnEarlierQueryIsNotBelieved) {
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    replace_worker();
    const std::uint64_t earlier = session_->queries;
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    EXPECT_EQ(lines().size(), 1U) << "of the first, whose worker ended";
    ipc::InspectorReply said;
    said.mutable_query_failed()->set_query(earlier);
    said.mutable_query_failed()->set_reason(ipc::CRASHED);
    take_inspected(context(), said);
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
    EXPECT_EQ(phase_of(*session_), Phase::kInspecting);
}

TEST_F(Dispatch, TheInspectorIsAskedWithTheTimeByWhichRulesExpire) {
    ASSERT_FALSE(ask_about(CommandId::kGetUsers));
    const ipc::Query asked = query();
    EXPECT_EQ(asked.number(), session_->queries);
    EXPECT_EQ(asked.command(), static_cast<std::uint32_t>(CommandId::kGetUsers));
    EXPECT_EQ(asked.now(), session_->clock.now());
}

TEST_F(Dispatch, AQueryOfACommandThatTheInspectorDoesNotAnswerIsAViolation) {
    for (const Command& row : kCommands) {
        if (row.answered_by == AnsweredBy::kInspector) continue;
        EXPECT_TRUE(ask_about(row.id)) << row.name;
    }
    EXPECT_TRUE(ask_about(CommandId{kCommands.size()}));
    EXPECT_EQ(query().number(), 0U);
}

TEST_F(Dispatch, WhatTheInspectorSaysIsCountedAndPassedOnUnread) {
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    inspector_says(session_->queries, "\xFFno ", false);
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
    inspector_says(session_->queries, "message", true);
    const Reply told = reply();
    EXPECT_EQ(told.relayed().command(), static_cast<std::uint32_t>(CommandId::kGetTime));
    EXPECT_EQ(told.relayed().inspected(), "\xFFno message");
    EXPECT_EQ(phase_of(*session_), Phase::kIdle);
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("verdict":"allow","what":"guest-get-time")") && has(log[0], R"("bytes":11)"))
        << log[0];
}

TEST_F(Dispatch, WhatDoesNotFitAFrameGoesThroughTheArena) {
    ASSERT_FALSE(ask_about(CommandId::kGetUsers));
    const std::string part(kInspectedPart, 'a');
    for (int at = 0; at < 5; ++at) inspector_says(session_->queries, part, at == 4);
    const Reply first = reply();
    ASSERT_TRUE(first.has_more());
    EXPECT_EQ(first.data().size(), kChunk);
    const Reply last = reply();
    ASSERT_TRUE(last.has_relayed());
    EXPECT_EQ(last.relayed().command(), static_cast<std::uint32_t>(CommandId::kGetUsers));
    EXPECT_TRUE(last.relayed().inspected().empty());
    EXPECT_EQ(last.data().size(), 5 * kInspectedPart - kChunk);
}

TEST_F(Dispatch, WhatTheInspectorSaysBeyondTheBoundIsRefused) {
    ASSERT_FALSE(ask_about(CommandId::kGetUsers));
    const std::string part(kInspectedPart, 'a');
    for (std::size_t said = 0; said <= kMaxInspected; said += part.size())
        inspector_says(session_->queries, part, false);
    EXPECT_EQ(reply().error().reason(), ipc::TOO_LARGE);
    EXPECT_EQ(phase_of(*session_), Phase::kIdle);
}

TEST_F(Dispatch, AFailureThatIsNotTheInspectorsToTellIsOneOfItself) {
    const std::pair<ipc::Reason, ipc::Reason> kTold[]{
        {ipc::LATE, ipc::LATE},         {ipc::TOO_LARGE, ipc::TOO_LARGE}, {ipc::SYSTEM, ipc::SYSTEM},
        {ipc::CRASHED, ipc::CRASHED},   {ipc::NO_BLOCKS, ipc::NO_BLOCKS}, {ipc::DISABLED, ipc::CRASHED},
        {ipc::REFUSED, ipc::CRASHED},   {ipc::UNSPECIFIED, ipc::CRASHED}, {ipc::FROZEN, ipc::CRASHED},
        {ipc::Reason(99), ipc::CRASHED}};
    for (const auto& [said, told] : kTold) {
        ASSERT_FALSE(ask_about(CommandId::kGetTime));
        ipc::InspectorReply failed;
        failed.mutable_query_failed()->set_query(session_->queries);
        failed.mutable_query_failed()->set_reason(said);
        failed.mutable_query_failed()->set_sys_errno(5);
        take_inspected(context(), failed);
        const Reply answer = reply();
        EXPECT_EQ(answer.error().reason(), told) << said;
        EXPECT_EQ(answer.error().denial(), "");
        const bool is_the_guests = told == ipc::SYSTEM || told == ipc::NO_BLOCKS;
        EXPECT_EQ(answer.error().sys_errno(), is_the_guests ? 5 : 0) << said;
    }
    for (const std::string& line : lines()) EXPECT_TRUE(has(line, R"("verdict":"fail")")) << line;
}

}  // namespace
}  // namespace sallyport::broker
