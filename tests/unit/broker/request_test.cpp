#include "broker/serve/request.hpp"

#include "broker/serve/under_way.hpp"
#include "room.hpp"

namespace sallyport::broker {
namespace {

using Op = ipc::Request;

class RequestEnds : public Room {
protected:
    [[nodiscard]] Request begin(std::uint64_t seq) const {
        return {{.worker = session_->worker.number,
                 .seq = seq,
                 .op = Op::kFileFlush,
                 .command = CommandId::kFileFlush},
                "guest-file-flush"};
    }
    static Reply flushed() {
        Reply reply;
        reply.mutable_file_flush();
        return reply;
    }
};

TEST_F(RequestEnds, CompleteWritesOneLineAndGivesOneReply) {
    Request request = begin(7);
    request.record.verdict = Verdict::kAllowed;
    request.complete(context(), flushed());
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("session":1,"verdict":"allow","what":"guest-file-flush")")) << log[0];
    const Reply said = reply();
    EXPECT_TRUE(said.has_file_flush());
    EXPECT_EQ(said.seq(), 7U);
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
}

TEST_F(RequestEnds, WhatThePolicyRefusesHasTheIdentityOfItsLine) {
    begin(1).refuse(context(), {.reason = ipc::REFUSED, .why = "no"});
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("verdict":"refuse")") && has(log[0], R"("reason":"no")")) << log[0];
    const std::string denial = reply().error().denial();
    const std::size_t dash = denial.find('-');
    ASSERT_NE(dash, denial.npos);
    EXPECT_TRUE(
        has(log[0], "\"run\":\"" + denial.substr(0, dash) + "\",\"seq\":" + denial.substr(dash + 1) + ","))
        << log[0];
}

TEST_F(RequestEnds, WhatHasFailedHasNoDenialAndSaysWhy) {
    begin(1).refuse(context(), {.reason = ipc::MOUNT_FREEZE, .sys_errno = EIO, .why = "no", .mount = "/a"});
    const ipc::Error error = reply().error();
    EXPECT_EQ(error.denial(), "");
    EXPECT_EQ(error.sys_errno(), EIO);
    EXPECT_EQ(error.mount(), "/a");
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("verdict":"fail")") && has(log[0], R"("mount":"/a")")) << log[0];
}

TEST_F(RequestEnds, OneWhoseWorkerHasEndedIsRecordedAndNobodyIsAnswered) {
    Request completed = begin(1);
    Request refused = begin(2);
    replace_worker();
    completed.complete(context(), flushed());
    refused.refuse(context(), {.reason = ipc::SYSTEM, .sys_errno = EIO, .why = "late"});
    const auto log = lines();
    ASSERT_EQ(log.size(), 2U);
    EXPECT_TRUE(has(log[0], R"("session":1)") && has(log[1], R"("session":1)"));
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
}

TEST_F(RequestEnds, OneThatIsAbandonedHasALineAndNoReply) {
    begin(1).abandon(*audit_, "the worker ended");
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("verdict":"fail")") && has(log[0], "the worker ended")) << log[0];
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
}

TEST_F(RequestEnds, OneThatIsAnnulledHasNeither) {
    begin(1).annul();
    EXPECT_TRUE(lines().empty());
    EXPECT_EQ(reply().result_case(), Reply::RESULT_NOT_SET);
}

TEST_F(RequestEnds, ALineThatIsWrittenAheadIsNotWrittenAgain) {
    Request completed = begin(1);
    Request abandoned = begin(2);
    completed.write_ahead(*audit_);
    abandoned.write_ahead(*audit_);
    EXPECT_EQ(lines().size(), 2U);
    completed.complete(context(), flushed());
    abandoned.abandon(*audit_, "the agent ended");
    EXPECT_TRUE(lines().empty());
    EXPECT_TRUE(reply().has_file_flush());
}

TEST_F(RequestEnds, WhoeverItWasTakenFromNeedNotEndIt) {
    Request first = begin(1);
    Request second = std::move(first);
    EXPECT_FALSE(first.is_open());  // NOLINT(bugprone-use-after-move)
    EXPECT_TRUE(second.is_open());
    second.annul();
}

using RequestDies = RequestEnds;

TEST_F(RequestDies, OneThatVanishesAborts) {
    EXPECT_DEATH({ const Request request = begin(1); }, "");
}

TEST_F(RequestDies, OneThatIsEndedTwiceAborts) {
    EXPECT_DEATH(
        {
            Request request = begin(1);
            request.complete(context(), flushed());
            request.abandon(*audit_, "again");
        },
        "");
}

TEST_F(RequestDies, OneThatIsOverwrittenAborts) {
    EXPECT_DEATH(
        {
            Request request = begin(1);
            request = begin(2);
            request.annul();
        },
        "");
}

TEST_F(RequestEnds, AWorkerThatDoesNotReadIsNotedAndToldNothingMore) {
    for (int at = 0; at < 100'000 && !session_->worker.is_deaf; ++at) context().tell(flushed());
    ASSERT_TRUE(session_->worker.is_deaf);
    while (reply().has_file_flush()) continue;
    context().tell(flushed());
    EXPECT_FALSE(reply().has_file_flush());
}

using UnderWay = Room;

TEST_F(UnderWay, AQueryHasADeadlineUntilItIsOver) {
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kIdle);
    EXPECT_EQ(first_due(*session_), std::nullopt);
    const std::int64_t before = boottime_ns();
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kInspecting);
    const std::int64_t due = first_due(*session_).value_or(0);
    EXPECT_GE(due, before + std::int64_t{kInspectMs} * 1'000'000);
    EXPECT_FALSE(is_late(session_->worker.query->request, due - 1));
    EXPECT_TRUE(is_late(session_->worker.query->request, due));
    give_up_inspecting(context());
    EXPECT_EQ(reply().error().reason(), ipc::LATE);
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kIdle);
    EXPECT_EQ(first_due(*session_), std::nullopt);
    EXPECT_EQ(lines().size(), 1U);
}

TEST_F(UnderWay, ARequestOfAnEarlierWorkerDoesNotKeepTheNextWaiting) {
    ASSERT_FALSE(ask(&Op::mutable_fstrim));
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kWaiting);
    replace_worker();
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kIdle);
    EXPECT_TRUE(lines().empty()) << "the guard still has it";
    abandon_all(*session_, *audit_);
    EXPECT_EQ(lines().size(), 1U);
}

TEST_F(UnderWay, WhatGoesOnOnlyWithItsWorkerIsAbandonedWithIt) {
    ASSERT_FALSE(ask_about(CommandId::kGetTime));
    forget_worker(*session_, *audit_);
    EXPECT_EQ(phase_of(*session_), WorkerPhase::kGreeting);
    EXPECT_EQ(first_due(*session_), std::nullopt);
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], "guest-get-time") && has(log[0], "the worker ended")) << log[0];
}

}  // namespace
}  // namespace sallyport::broker
