#include "broker/serve/dispatch.hpp"

#include <filesystem>

#include "room.hpp"
#include "tests/support/hours.hpp"

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
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kWriting);
    EXPECT_FALSE(say(part(3)));
    EXPECT_EQ(reply().file_write().count(), std::int64_t{kChunk} + 3);
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kIdle);
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], "guest-file-write") && has(log[0], "\"bytes\":" + std::to_string(kChunk + 3)))
        << log[0];
}

TEST_F(Dispatch, PartsOfAWriteWhoseCommandIsNotAllowedAreNoViolation) {
    const std::int64_t handle = open("w");
    policy_.rules[0].commands.remove(CommandId::kFileWrite);
    Op request;
    request.mutable_file_write()->set_handle(handle);
    request.mutable_bulk()->set_total(kChunk + 3);
    request.mutable_bulk()->mutable_first()->set_size(kChunk);
    EXPECT_FALSE(ask(request));
    EXPECT_EQ(reply().error().reason(), ipc::DISABLED);
    EXPECT_FALSE(say(part(3))) << "it was sent before the refusal came";
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
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kIdle);
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

// Another rule allows guest-exec-status at any time.
TEST_F(Dispatch, AProgramsResultIsGivenWhileItsRuleCountsAndStaysForTheNextHours) {
    constexpr std::int64_t kHour = 3600;
    constexpr std::int64_t kWeek = 7 * 24 * kHour;
    const ClockReading start = read_clocks();
    policy::Rule nightly{.id = "nightly", .effect = policy::Effect::kAllow};
    nightly.when = test::hours_from(start.wall, -kHour, kHour);
    nightly.expires = start.wall + kWeek + 1;
    policy_.rules.push_back(nightly);
    session_->programs.templates.Add()->set_rule("nightly");
    for (const std::int64_t ended : {1, 2}) session_->programs.known[ended].ended.emplace().set_exit_code(0);
    session_->programs.known[3];  // runs
    const auto status = [&](std::int64_t number, std::int64_t after) {
        session_->clock.look({.wall = start.wall + after, .boottime_ns = start.boottime_ns});
        Op request;
        request.mutable_exec_status()->set_pid(number);
        EXPECT_FALSE(ask(request));
        return reply();
    };
    const auto expect_refused = [&](std::int64_t number, std::int64_t after) {
        lines();
        const Reply refused = status(number, after);
        EXPECT_EQ(refused.error().reason(), ipc::REFUSED);
        EXPECT_FALSE(refused.error().denial().empty());
        const auto log = lines();
        ASSERT_EQ(log.size(), 1U);
        EXPECT_TRUE(has(log[0], R"("verdict":"refuse")") && has(log[0], R"("rule":"nightly")") &&
                    has(log[0], "\"arguments\":{\"pid\":" + std::to_string(number) + "}"))
            << log[0];
    };
    EXPECT_TRUE(status(1, 0).exec_status().exited());
    expect_refused(2, 2 * kHour);
    expect_refused(3, 2 * kHour);
    EXPECT_FALSE(session_->worker.status) << "nobody waits for its end";
    EXPECT_TRUE(status(2, kWeek).exec_status().exited());
    expect_refused(3, kWeek + 1);
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
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kWaiting);
    ipc::Outcome outcome;
    outcome.set_kind(ipc::Outcome::EXITED);
    outcome.set_number(3);
    conclude_launch(context(), outcome);
    EXPECT_EQ(reply().error().exit_status(), 3);
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kIdle);
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
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kInspecting) << "its own request goes on";
    child_says(ipc::Word::kTooLarge);
    EXPECT_EQ(reply().error().reason(), ipc::TOO_LARGE);
    log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("session":2)") && has(log[0], "guest-get-time")) << log[0];
}

TEST_F(Dispatch, AChildThatIsStillAtWorkForAnEarlierWorkerIsNotAskedAgain) {
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    const std::uint64_t earlier = inspectors_order().begin_child().number();
    const UniqueFd earlier_end = std::move(childs_end_);
    replace_worker();
    EXPECT_EQ(inspectors_order().op_case(), ipc::InspectorRequest::OP_NOT_SET) << "it may still be late";
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    EXPECT_EQ(lines().size(), 1U) << "of the first, whose worker ended";
    const ipc::InspectorRequest end = inspectors_order();
    EXPECT_EQ(end.end_child().number(), earlier);
    EXPECT_FALSE(end.end_child().is_late());
    EXPECT_EQ(inspectors_order().begin_child().number(), earlier + 1);
    EXPECT_FALSE(ipc::send(earlier_end, "l", ipc::WhenFull::kFail)) << "nobody hears what it says";
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kInspecting);
}

TEST_F(Dispatch, AReplyForAWorkerThatHasEndedReachesNobody) {
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    replace_worker();
    lines();
    child_says(ipc::Word::kLast, "late");
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
    EXPECT_TRUE(lines().empty());
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    child_says(ipc::Word::kLast, "own");
    EXPECT_EQ(reply().relayed().inspected(), "own");
}

TEST_F(Dispatch, OneChildAnswersQueryAfterQuery) {
    for (int at = 0; at < 3; ++at) {
        ASSERT_FALSE(ask_about(CommandId::kGetTime));
        EXPECT_EQ(inspectors_order().has_begin_child(), at == 0);
        child_says(ipc::Word::kLast, "now");
        EXPECT_EQ(reply().relayed().inspected(), "now");
    }
}

// It is born a second before; no clock is moved here, so that the time is asked for.
TEST_F(Dispatch, AChildIsDueASecondAfterItsBirthAndAQueryThreeAfterItWasAsked) {
    const std::int64_t before = boottime_ns();
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    const std::int64_t asked = session_->inspector.due_ns().value_or(0);
    EXPECT_GE(asked, before + std::int64_t{kInspectMs} * 1'000'000);
    child_says(ipc::Word::kLast, "now");
    const std::int64_t lives = session_->inspector.due_ns().value_or(0);
    EXPECT_GE(lives, before + std::int64_t{kInspectorChildMs} * 1'000'000);
    EXPECT_LT(lives, asked);
    session_->inspector.end_child();
    EXPECT_EQ(session_->inspector.due_ns(), std::nullopt);
}

// The child was asked about something before, so that what it has read may be old.
TEST_F(Dispatch, ANewChildAnswersInsteadOfAnOldOneThatMayHaveReadWhatWasReplaced) {
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    child_says(ipc::Word::kLast, "now");
    ASSERT_TRUE(reply().has_relayed());
    ASSERT_FALSE(ask_about(CommandId::kGetOsinfo));
    child_says(ipc::Word::kOutdated);
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
    EXPECT_EQ(query().command(), static_cast<std::uint32_t>(CommandId::kGetOsinfo));
    child_says(ipc::Word::kOutdated);
    EXPECT_EQ(reply().error().reason(), ipc::CRASHED) << "one that was just born has no excuse";
}

TEST_F(Dispatch, AChildThatEndsIsPassedOverOnlyIfTheQueryCannotHaveEndedIt) {
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    hear_inspectors_child_end(context());
    EXPECT_EQ(reply().error().reason(), ipc::CRASHED);
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    child_says(ipc::Word::kLast, "now");
    ASSERT_TRUE(reply().has_relayed());
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    hear_inspectors_child_end(context());
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
    hear_inspectors_child_end(context());
    EXPECT_EQ(reply().error().reason(), ipc::CRASHED);
}

TEST_F(Dispatch, TheInspectorIsAskedWithTheTimeByWhichRulesExpire) {
    ASSERT_FALSE(ask_about(CommandId::kGetUsers));
    const ipc::Query asked = query();
    EXPECT_EQ(asked.command(), static_cast<std::uint32_t>(CommandId::kGetUsers));
    EXPECT_EQ(asked.latest(), session_->clock.now().latest);
    EXPECT_EQ(asked.wall(), session_->clock.now().wall);
}

TEST_F(Dispatch, AQueryOfACommandThatTheInspectorDoesNotAnswerIsAViolation) {
    for (const Command& row : kCommands) {
        if (row.answered_by == AnsweredBy::kInspector) continue;
        EXPECT_TRUE(ask_about(row.id)) << row.name;
    }
    EXPECT_TRUE(ask_about(CommandId{kCommands.size()}));
    EXPECT_EQ(inspectors_order().op_case(), ipc::InspectorRequest::OP_NOT_SET);
}

TEST_F(Dispatch, WhatTheInspectorSaysIsCountedAndPassedOnUnread) {
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    child_says(ipc::Word::kLast, "\xFFno message");
    const Reply told = reply();
    EXPECT_EQ(told.relayed().command(), static_cast<std::uint32_t>(CommandId::kGetTime));
    EXPECT_EQ(told.relayed().inspected(), "\xFFno message");
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kIdle);
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("verdict":"allow","what":"guest-get-time")") && has(log[0], R"("bytes":11)"))
        << log[0];
}

TEST_F(Dispatch, WhatDoesNotFitAFrameGoesThroughTheArena) {
    ASSERT_FALSE(ask_about(CommandId::kGetUsers));
    const std::string part(kInspectedPart, 'a');
    for (int at = 0; at < 5; ++at) child_says(at == 4 ? ipc::Word::kLast : ipc::Word::kMore, part);
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
    for (std::size_t said = 0; said <= kMaxInspected; said += part.size()) child_says(ipc::Word::kMore, part);
    EXPECT_EQ(reply().error().reason(), ipc::TOO_LARGE);
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kIdle);
}

std::string errno_of(std::int32_t number) {
    std::string bytes(ipc::kErrnoSize, '\0');
    std::memcpy(bytes.data(), &number, sizeof number);
    return bytes;
}

TEST_F(Dispatch, AFailureThatIsNotAChildsToTellIsOneOfItself) {
    using ipc::Word;
    const struct {
        Word word;
        std::string rest;
        ipc::Reason told;
        std::int32_t sys_errno;
    } kTold[]{{Word::kTooLarge, "", ipc::TOO_LARGE, 0},
              {Word::kNoBlocks, "", ipc::NO_BLOCKS, 0},
              {Word::kNoRoom, "", ipc::LATE, 0},
              {Word::kSystem, errno_of(5), ipc::SYSTEM, 5},
              {Word::kSystem, errno_of(0), ipc::CRASHED, 0},
              {Word::kSystem, errno_of(-5), ipc::CRASHED, 0},
              {Word::kSystem, errno_of(4096), ipc::CRASHED, 0},
              {Word::kSystem, "5", ipc::CRASHED, 0},
              {Word::kMore, "a part that is not full", ipc::CRASHED, 0},
              {Word::kLast, std::string(kInspectedPart + 1, 'a'), ipc::CRASHED, 0},
              {Word::kOutdated, "", ipc::CRASHED, 0},
              {Word{'?'}, "", ipc::CRASHED, 0}};
    for (const auto& [word, rest, told, sys_errno] : kTold) {
        session_->inspector.end_child();
        ASSERT_FALSE(ask_about(CommandId::kGetTime));
        child_says(word, rest);
        const Reply answer = reply();
        EXPECT_EQ(answer.error().reason(), told) << static_cast<char>(word);
        EXPECT_EQ(answer.error().denial(), "");
        EXPECT_EQ(answer.error().sys_errno(), sys_errno) << static_cast<char>(word);
        EXPECT_EQ(session_->inspector.child().get() < 0, told == ipc::CRASHED || told == ipc::LATE)
            << "a child that lies is killed: " << static_cast<char>(word);
    }
    for (const std::string& line : lines()) EXPECT_TRUE(has(line, R"("verdict":"fail")")) << line;
}

TEST_F(Dispatch, AChildThatSpeaksWithoutBeingAskedIsKilledAndNothingOfItReachesAWorker) {
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    child_says(ipc::Word::kLast, "now");
    ASSERT_TRUE(reply().has_relayed());
    child_says(ipc::Word::kLast, "again");
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
    EXPECT_LT(session_->inspector.child().get(), 0);
}

}  // namespace
}  // namespace sallyport::broker
