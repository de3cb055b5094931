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
    /// The worker sends the request, and no clerk's report is heard.
    void put(Op request) {
        if (!request.has_hello()) request.set_seq(session_->worker.last_seq + 1);
        std::string bytes;
        ipc::encode(request, bytes);
        ASSERT_TRUE(ipc::send(workers_end_, bytes, ipc::WhenFull::kFail));
        ASSERT_TRUE(ipc::receive(worker_, wire_.frame).value_or(false));
        EXPECT_FALSE(handle_frame(context(), wire_));
    }
    /// A clerk has the order to read, since the broker does not read this file itself.
    void put_read(std::int64_t handle, std::int64_t count) {
        session_->files.at(handle).atime = ipc::OpenedReport::ALWAYS;
        Op request;
        request.mutable_file_read()->set_handle(handle);
        request.mutable_file_read()->set_count(count);
        put(request);
        ASSERT_TRUE(session_->worker.read && session_->worker.read->part.clerk != 0);
    }
    void put_open() {
        Op request;
        request.mutable_file_open()->set_path(scratch_.path() / "file");
        put(request);
    }
    /// A clerk that the test plays takes the place of the real one. Returns its end of the socket.
    UniqueFd play_clerk() {
        auto parent = ipc::socket_pair();
        auto clerk = ipc::socket_pair();
        session_->files_hand = FilesHand(std::move(parent->first));
        EXPECT_TRUE(session_->files_hand.want_clerk());
        ipc::FilesReply started;
        started.mutable_clerk_started()->set_clerk(2);
        std::string frame;
        ipc::encode(started, frame);
        const FdRef given(clerk->first);
        EXPECT_TRUE(ipc::give(parent->second, frame, std::span(&given, 1)));
        EXPECT_EQ(session_->files_hand.hear_parent(), 0);
        return std::move(clerk->second);
    }
    /// The rule lets everything be set, everybody's password and keys be changed, and a program be started.
    void allow_more() {
        policy::Rule& rule = policy_.rules[0];
        ipc::AccountTemplate& accounts = rule.accounts.emplace();
        accounts.set_any_user(true);
        accounts.set_any_key(true);
        accounts.set_max_keys(9);
        rule.sets.emplace_back().mutable_time()->set_any(true);
        rule.sets.emplace_back().mutable_vcpus()->mutable_cpus()->set_any(true);
        rule.sets.emplace_back().mutable_blocks()->set_any(true);
        ipc::ExecTemplate& program = rule.exec.emplace_back();
        program.set_program("/bin/a");
        program.set_input(100);
        program.set_concurrent(9);
        session_->accounts.templates = policy::account_templates(policy_);
        session_->settings.rules = policy::set_rules(policy_);
        session_->programs.templates = policy::exec_templates(policy_);
    }
    [[nodiscard]] bool is_begun() const {
        return session_->accounts.work || session_->settings.under_way || session_->programs.start;
    }
    /// The program's request is begun, and given up.
    void start(std::size_t input) {
        EXPECT_FALSE(ask(exec_of(input)));
        EXPECT_TRUE(is_begun());
        abandon_all(*session_, *audit_);
        lines();
    }
    static Op exec_of(std::size_t input) {
        Op request;
        request.mutable_exec()->set_path("/bin/a");
        request.mutable_exec()->set_input_data(std::string(input, 'i'));
        return request;
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

TEST_F(Budgeted, ASpentRateStartsNoProgramAndSetsNothing) {
    scratch_.write("file", "content");
    give(kTwo);
    ipc::ExecTemplate& program = *session_->programs.templates.Add();
    program.set_rule("all");
    program.set_program("/program");
    program.set_concurrent(1);
    ipc::SetRule& clock = *session_->settings.rules.Add();
    clock.set_rule("all");
    clock.mutable_time()->set_any(true);
    ipc::AccountTemplate& keys = *session_->accounts.templates.Add();
    keys.set_rule("all");
    keys.set_any_user(true);
    keys.set_command(static_cast<std::uint32_t>(CommandId::kSshGetAuthorizedKeys));
    open();
    open();
    Op exec;
    exec.mutable_exec()->set_path("/program");
    EXPECT_FALSE(ask(exec));
    expect_spent(reply(), "rate");
    EXPECT_FALSE(session_->programs.start);
    Op set;
    set.mutable_set_time()->set_time(wall_ns());
    EXPECT_FALSE(ask(set));
    expect_spent(reply(), "rate");
    EXPECT_FALSE(session_->settings.under_way);
    Op get;
    get.mutable_ssh_get_authorized_keys()->set_username("ann");
    EXPECT_FALSE(ask(get));
    expect_spent(reply(), "rate");
    EXPECT_FALSE(session_->accounts.work);
}

TEST_F(Budgeted, AProgramsInputIsPaidFor) {
    give(kTenBytes);
    ipc::ExecTemplate& program = *session_->programs.templates.Add();
    program.set_rule("all");
    program.set_program("/program");
    program.set_concurrent(2);
    program.set_input(100);
    Op exec;
    exec.mutable_exec()->set_path("/program");
    exec.mutable_exec()->set_input_data("0123456789a");
    EXPECT_FALSE(ask(exec));
    expect_spent(reply(), "bytes");
    exec.mutable_exec()->set_input_data("0123456");
    EXPECT_FALSE(ask(exec));
    EXPECT_TRUE(session_->programs.start);
    EXPECT_EQ(bytes_left(*session_, 0, 100), 3U);
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
    put_read(handle, 4);
    lines();
    replace_worker();
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], "guest-file-read") && has(log[0], R"("bytes":4)")) << log[0];
    EXPECT_EQ(read(handle, 100).file_read().count(), 6);
}

TEST_F(Budgeted, APartThatAClerkHadToReadWhenItEndedIsPaidForAndRecorded) {
    scratch_.write("file", "0123456789abcdef");
    give(kTenBytes);
    const std::int64_t handle = open().file_open().handle();
    UniqueFd clerk = play_clerk();
    put_read(handle, 4);
    clerk.reset();
    lines();
    hear_clerks(context());
    EXPECT_EQ(reply().error().reason(), ipc::SYSTEM);
    const auto log = lines();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_TRUE(has(log[0], R"("verdict":"fail")") && has(log[0], R"("bytes":4)")) << log[0];
    session_->files.at(handle).atime = ipc::OpenedReport::NEVER;  // it is in the page cache
    EXPECT_EQ(read(handle, 100).file_read().count(), 6);
}

TEST_F(Budgeted, ASpentRateChangesNoPasswordSetsNothingAndStartsNothing) {
    allow_more();
    std::vector<Op> all(8);
    all[0].mutable_set_user_password()->set_username("alice");
    all[0].mutable_set_user_password()->set_password("secret");
    all[1].mutable_ssh_get_authorized_keys()->set_username("alice");
    all[2].mutable_ssh_add_authorized_keys()->set_username("alice");
    all[2].mutable_ssh_add_authorized_keys()->mutable_keys()->add_item("ssh-ed25519 AAAA");
    all[3].mutable_ssh_remove_authorized_keys()->set_username("alice");
    all[3].mutable_ssh_remove_authorized_keys()->mutable_keys()->add_item("ssh-ed25519 AAAA");
    all[4].mutable_set_time()->set_time(wall_ns());
    all[5].mutable_set_vcpus()->add_vcpus()->set_logical_id(1);
    all[6].mutable_set_memory_blocks()->add_mem_blks()->set_phys_index(1);
    all[7] = exec_of(1);
    for (const Op& one : all) {
        give(kTwo);
        for (int turn = 0; turn < 2; ++turn) {
            EXPECT_FALSE(ask(one));
            EXPECT_TRUE(is_begun()) << one.command_case();
            abandon_all(*session_, *audit_);
        }
        EXPECT_FALSE(ask(one));
        expect_spent(reply(), "rate");
        EXPECT_FALSE(is_begun()) << one.command_case();
    }
}

TEST_F(Budgeted, TheInputOfAProgramIsPaidForAsAWholeOrTheProgramIsNotStarted) {
    allow_more();
    give(kTenBytes);
    EXPECT_FALSE(ask(exec_of(11)));
    expect_spent(reply(), "bytes");
    EXPECT_FALSE(is_begun());
    start(7);
    EXPECT_FALSE(ask(exec_of(4)));
    expect_spent(reply(), "bytes");
    EXPECT_FALSE(is_begun());
    start(3);
}

// The recorder waits for no line, but for what was taken.
TEST_F(Budgeted, WhatIsTakenWakesTheRecorder) {
    give(kTenBytes);
    lines();
    ring_->words().is_asleep = 1;
    take_bytes(context(), 0, 1);
    ipc::Frame frame;
    EXPECT_TRUE(ipc::receive(recorder_, frame).value_or(false));
    EXPECT_EQ(ring_->words().is_asleep.load(), 0U);
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

// Nobody waits for a clerk's report any more, and the clerk opens the file all the same.
TEST_F(Budgeted, AFileThatIsBeingOpenedForAWorkerThatHasEndedCountsAsOpen) {
    scratch_.write("file", "content");
    give({.rate = {}, .bytes = {}, .concurrent = 1});
    put_open();
    forget_worker(*session_, *audit_);
    session_->worker.number = 2;
    Op hello;
    hello.mutable_hello();
    put(hello);
    EXPECT_TRUE(reply().has_welcome());
    put_open();
    expect_spent(reply(), "concurrent");
    EXPECT_FALSE(ask(&Op::mutable_fsfreeze_thaw)) << "by when the clerk has reported";
    EXPECT_TRUE(reply().has_fsfreeze_thaw());
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
