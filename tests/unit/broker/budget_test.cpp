// Budgets in the broker: what is refused once they are spent, and what never is.
#include "broker/serve/budgets.hpp"

#include <filesystem>

#include "base/clock.hpp"
#include "room.hpp"

namespace sallyport::broker {
namespace {

using Op = ipc::Request;

constexpr std::int64_t kDay = std::int64_t{86'400} * 1'000'000'000;

class Budgeted : public Room {
protected:
    /// Buckets that are full.
    void give(policy::Budget budget) {
        policy_.rules[0].budget = budget;
        session_->budgets = {.buckets = policy::buckets(policy_), .due = {}};
        session_->budgets.due.resize(session_->budgets.buckets.size(), 0);
    }
    Reply open(const char* mode = "r") {
        Op request;
        request.mutable_file_open()->set_path(scratch_.path() / "file");
        request.mutable_file_open()->set_mode(mode);
        EXPECT_FALSE(ask(request));
        return reply();
    }
    Reply read(std::int64_t handle, std::int64_t count) {
        Op request;
        request.mutable_file_read()->set_handle(handle);
        request.mutable_file_read()->set_count(count);
        EXPECT_FALSE(ask(request));
        return reply();
    }
    Reply write(std::int64_t handle, std::uint32_t size) {
        Op request;
        request.mutable_file_write()->set_handle(handle);
        request.mutable_bulk()->set_total(size);
        request.mutable_bulk()->mutable_first()->set_size(size);
        EXPECT_FALSE(ask(request));
        return reply();
    }
    void expect_spent(const Reply& reply, const std::string& budget) {
        EXPECT_EQ(reply.error().reason(), ipc::SPENT);
        const auto log = lines();
        ASSERT_FALSE(log.empty());
        for (const std::string& part :
             {std::string(R"("verdict":"refuse")"), std::string(R"("rule":"all")"),
              R"("budget":")" + budget + "\"", std::string("the rule's budget is spent")})
            EXPECT_TRUE(has(log.back(), part)) << log.back();
        EXPECT_FALSE(reply.error().denial().empty());
    }
};

constexpr policy::Budget kTwo{
    .rate = {.amount = 1, .burst = 2, .per_ns = kDay}, .bytes = {}, .concurrent = 0};
constexpr policy::Budget kTenBytes{
    .rate = {}, .bytes = {.amount = 10, .burst = 10, .per_ns = kDay}, .concurrent = 0};

TEST_F(Budgeted, ASpentRateIsRefusedAndNothingIsDone) {
    scratch_.write("file", "content");
    give(kTwo);
    EXPECT_TRUE(open().has_file_open());
    EXPECT_TRUE(open().has_file_open());
    expect_spent(open("w"), "rate");
    EXPECT_EQ(session_->files.size(), 2U);
    EXPECT_EQ(std::filesystem::file_size(scratch_.path() / "file"), 7U) << "not cut off";
    EXPECT_FALSE(ask_about(CommandId::kGetUsers));
    expect_spent(reply(), "rate");
    EXPECT_EQ(query().command(), 0U) << "nobody is asked";
    EXPECT_FALSE(ask(&Op::mutable_suspend_ram));
    expect_spent(reply(), "rate");
    EXPECT_FALSE(session_->launch);
    EXPECT_FALSE(ask(&Op::mutable_fsfreeze_freeze));
    expect_spent(reply(), "rate");
    EXPECT_FALSE(session_->freezing.freeze);
    EXPECT_FALSE(ask(&Op::mutable_shutdown));
    expect_spent(reply(), "rate");
}

TEST_F(Budgeted, TheFloorAndWhatIsOpenAreNotCounted) {
    scratch_.write("file", "content");
    give(kTwo);
    const std::int64_t handle = open().file_open().handle();
    EXPECT_TRUE(open().has_file_open());
    EXPECT_FALSE(ask(&Op::mutable_fsfreeze_thaw));
    EXPECT_TRUE(reply().has_fsfreeze_thaw());
    EXPECT_EQ(read(handle, 3).file_read().count(), 3);
    Op close;
    close.mutable_file_close()->set_handle(handle);
    EXPECT_FALSE(ask(close));
    EXPECT_TRUE(reply().has_file_close());
    session_->freezing.is_frozen = true;
    EXPECT_FALSE(ask(&Op::mutable_fsfreeze_thaw));
    EXPECT_TRUE(order().has_thaw());
    session_->freezing.is_frozen = false;
}

TEST_F(Budgeted, NeitherAnotherWorkerNorAnotherClockBringsAnythingBack) {
    scratch_.write("file", "content");
    give(kTwo);
    open();
    open();
    replace_worker();
    expect_spent(open(), "rate");
    for (const std::int64_t wall : {std::int64_t{1} << 40U, std::int64_t{0}}) {
        session_->clock.look({.wall = wall, .boottime_ns = wall});
        expect_spent(open(), "rate");
    }
}

TEST_F(Budgeted, WhatIsTakenIsHandedToTheRecorderBeforeTheReply) {
    scratch_.write("file", "content");
    give(kTwo);
    EXPECT_EQ(ring_->words().due[0], 0);
    const std::int64_t before = awake_ns();
    open();
    EXPECT_GE(ring_->words().due[0], before + kDay);
    EXPECT_EQ(ring_->words().due[0], session_->budgets.due[0]);
}

TEST_F(Budgeted, AReadEndsWhereTheBytesDo) {
    scratch_.write("file", "0123456789abcdef");
    give(kTenBytes);
    const std::int64_t handle = open().file_open().handle();
    EXPECT_EQ(read(handle, 4).file_read().count(), 4);
    const Reply rest = read(handle, 100);
    EXPECT_EQ(rest.file_read().count(), 6);
    EXPECT_FALSE(rest.file_read().eof());
    expect_spent(read(handle, 1), "bytes");
    EXPECT_EQ(read(handle, 0).file_read().count(), 0);
}

// The next worker finds the part in the arena.
TEST_F(Budgeted, APartThatAClerkStillReadsIsPaidForWhenItsWorkerEnds) {
    scratch_.write("file", "0123456789abcdef");
    give(kTenBytes);
    const std::int64_t handle = open().file_open().handle();
    session_->files.at(handle).atime = ipc::OpenedReport::ALWAYS;  // not ours to read
    Op request;
    request.set_seq(session_->worker.last_seq + 1);
    request.mutable_file_read()->set_handle(handle);
    request.mutable_file_read()->set_count(4);
    std::string bytes;
    ipc::encode(request, bytes);
    ASSERT_TRUE(ipc::send(workers_end_, bytes, ipc::WhenFull::kFail));
    ASSERT_TRUE(ipc::receive(worker_, wire_.frame).value_or(false));
    EXPECT_FALSE(handle_frame(context(), wire_));
    ASSERT_TRUE(session_->worker.read && session_->worker.read->part.is_wanted);
    replace_worker();
    EXPECT_EQ(read(handle, 100).file_read().count(), 6);
}

TEST_F(Budgeted, AWriteIsDoneAsAWholeOrRefused) {
    scratch_.write("file", "");
    give(kTenBytes);
    const std::int64_t handle = open("w").file_open().handle();
    EXPECT_EQ(write(handle, 7).file_write().count(), 7);
    expect_spent(write(handle, 4), "bytes");
    EXPECT_EQ(std::filesystem::file_size(scratch_.path() / "file"), 7U) << "nothing of it is written";
    EXPECT_EQ(write(handle, 3).file_write().count(), 3);
    expect_spent(write(handle, 1), "bytes");
}

TEST_F(Budgeted, SoManyFilesAreOpenAtOnce) {
    scratch_.write("file", "content");
    give({.rate = {}, .bytes = {}, .concurrent = 2});
    const std::int64_t handle = open().file_open().handle();
    EXPECT_TRUE(open().has_file_open());
    expect_spent(open(), "concurrent");
    Op close;
    close.mutable_file_close()->set_handle(handle);
    EXPECT_FALSE(ask(close));
    EXPECT_TRUE(reply().has_file_close());
    EXPECT_TRUE(open().has_file_open());
}

TEST_F(Budgeted, AProgramsResultStaysUntilThereAreBytesForIt) {
    give(kTenBytes);
    ipc::ExecTemplate& one = *session_->programs.templates.Add();
    one.set_rule("all");
    one.set_output(10);
    const auto ended = [&](std::int64_t number, std::uint32_t size) {
        Program& program = session_->programs.known[number];
        program.ended.emplace().set_exit_code(0);
        program.ended->set_out_size(size);
    };
    const auto status = [&](std::int64_t number) {
        Op request;
        request.mutable_exec_status()->set_pid(number);
        EXPECT_FALSE(ask(request));
        return reply();
    };
    ended(1, 8);
    ended(2, 3);
    status(1);  // it is fetched from the launcher
    ASSERT_TRUE(session_->worker.result);
    replace_worker();
    expect_spent(status(2), "bytes");
    EXPECT_TRUE(session_->programs.known.contains(2)) << "and is there for later";
    session_->budgets.due[0] = 0;
    status(2);
    EXPECT_TRUE(session_->worker.result);
}

TEST_F(Budgeted, AFloodOfATakenOverWorkerGetsWhatIsLeftAndNoMore) {
    scratch_.write("file", "content");
    give({.rate = {.amount = 1, .burst = 5, .per_ns = kDay}, .bytes = {}, .concurrent = 0});
    int opened = 0;
    for (int turn = 0; turn < 40; ++turn) {
        if (turn % 4 == 0) replace_worker();
        opened += open().has_file_open() ? 1 : 0;
    }
    EXPECT_EQ(opened, 5);
}

}  // namespace
}  // namespace sallyport::broker
