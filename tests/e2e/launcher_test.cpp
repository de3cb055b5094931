// The launcher alone, asked as the broker asks it: hooks around a freeze, deadlines, and what it does not start.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/launcher.pb.h"
#include "tests/support/launcher_alone.hpp"
#include "tests/support/process.hpp"
#include "tests/support/refused_call.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::test {
namespace {

using ipc::Outcome;
constexpr unsigned kEnoughToForkMs = 2'000;  // for what is to pass it, with a child
constexpr unsigned kLongMs = 10'000;         // for what is not

// A folder whose whole way from the root belongs to root: the usual scratch folders lie in /tmp, which anybody can write.
class Safe {
public:
    Safe() { EXPECT_NE(::mkdtemp(path_.data()), nullptr); }
    ~Safe() { std::filesystem::remove_all(path_); }
    Safe(const Safe&) = delete;
    Safe& operator=(const Safe&) = delete;
    [[nodiscard]] std::string path(std::string_view name) const { return path_ + "/" + std::string(name); }
    void script(std::string_view name, std::string_view body, mode_t mode = 0755) const {
        const std::string file = path(name);
        std::filesystem::create_directories(std::filesystem::path(file).parent_path());
        std::FILE* stream = std::fopen(file.c_str(), "we");
        std::fprintf(stream, "#!/bin/sh\necho %.*s \"$@\" >> %s/calls\n%.*s\n", static_cast<int>(name.size()),
                     name.data(), path_.c_str(), static_cast<int>(body.size()), body.data());
        std::fclose(stream);
        ::chmod(file.c_str(), mode);
    }
    [[nodiscard]] std::string calls() const {
        return std::filesystem::exists(path("calls")) ? read_file(path("calls")) : "";
    }

private:
    std::string path_ = "/run/sallyport-launcher-XXXXXX";
};

ipc::LauncherTable hooks_of(const Safe& safe, std::initializer_list<const char*> paths) {
    ipc::LauncherTable table;
    for (const char* path : paths) table.add_hooks(safe.path(path));
    table.set_hook_deadline_ms(kLongMs);
    table.set_deadline_ms(kLongMs);
    return table;
}

ipc::LauncherTable row_of(const std::string& program) {
    ipc::LauncherTable table;
    table.set_deadline_ms(kLongMs);
    auto& row = *table.add_rows();
    row.set_number(7);
    *row.add_attempts()->add_program() = program;
    return table;
}

TEST(Hooks, StartInOrderAndEndInReverse) {
    const Safe safe;
    safe.script("single", "");
    for (const char* name : {"d/20-b", "d/10-a", "d/30-c"}) safe.script(name, "");
    Launcher launcher(hooks_of(safe, {"single", "d"}));
    ASSERT_TRUE(launcher.is_ready());
    EXPECT_EQ(launcher.hooks(ipc::LauncherRequest::FREEZE).kind(), Outcome::DONE);
    EXPECT_EQ(launcher.hooks(ipc::LauncherRequest::THAW).kind(), Outcome::DONE);
    EXPECT_EQ(safe.calls(),
              "single freeze\nd/10-a freeze\nd/20-b freeze\nd/30-c freeze\n"
              "d/30-c thaw\nd/20-b thaw\nd/10-a thaw\nsingle thaw\n");
    EXPECT_EQ(launcher.close(), 0);
}

TEST(Hooks, FirstThatFailsStopsTheFreezeAndOnlyThoseStartedAreThawed) {
    const Safe safe;
    safe.script("d/1", "");
    safe.script("d/2", "echo the database is away; exit 3");
    safe.script("d/3", "");
    Launcher launcher(hooks_of(safe, {"d"}));
    ASSERT_TRUE(launcher.is_ready());
    const Outcome outcome = launcher.hooks(ipc::LauncherRequest::FREEZE);
    EXPECT_EQ(outcome.kind(), Outcome::EXITED);
    EXPECT_EQ(outcome.number(), 3);
    EXPECT_EQ(outcome.program(), safe.path("d/2"));
    EXPECT_EQ(outcome.output(), "the database is away\n");
    launcher.hooks(ipc::LauncherRequest::THAW);
    EXPECT_EQ(safe.calls(), "d/1 freeze\nd/2 freeze\nd/2 thaw\nd/1 thaw\n");
}

TEST(Hooks, FailureOfAThawDoesNotKeepTheOthersFromTheirs) {
    const Safe safe;
    for (const char* name : {"d/1", "d/2", "d/3"}) safe.script(name, "[ \"$1\" = freeze ]");
    Launcher launcher(hooks_of(safe, {"d"}));
    ASSERT_TRUE(launcher.is_ready());
    launcher.hooks(ipc::LauncherRequest::FREEZE);
    const Outcome outcome = launcher.hooks(ipc::LauncherRequest::THAW);
    EXPECT_EQ(outcome.kind(), Outcome::EXITED);
    EXPECT_EQ(outcome.program(), safe.path("d/3"));
    EXPECT_TRUE(safe.calls().ends_with("d/3 thaw\nd/2 thaw\nd/1 thaw\n"));
}

TEST(Hooks, ThawWithoutAFreezeBeforeStartsAll) {
    const Safe safe;
    safe.script("d/1", "");
    safe.script("d/2", "");
    Launcher launcher(hooks_of(safe, {"d"}));
    ASSERT_TRUE(launcher.is_ready());
    launcher.hooks(ipc::LauncherRequest::THAW);
    EXPECT_EQ(safe.calls(), "d/2 thaw\nd/1 thaw\n");
}

TEST(Hooks, EndOfTheBrokerStartsTheThawThatIsOwed) {
    const Safe safe;
    safe.script("d/1", "");
    Launcher launcher(hooks_of(safe, {"d"}));
    ASSERT_TRUE(launcher.is_ready());
    launcher.hooks(ipc::LauncherRequest::FREEZE);
    launcher.child().signal(SIGTERM);  // as a service manager that ends all processes of a service
    EXPECT_EQ(launcher.close(), 0);
    EXPECT_EQ(safe.calls(), "d/1 freeze\nd/1 thaw\n");
}

TEST(Hooks, OneThatHangsIsKilledWithItsChildrenAtItsDeadline) {
    const Safe safe;
    safe.script("d/1",
                "[ \"$1\" = thaw ] || { sleep 1000 & echo $! > " + safe.path("pid") + "; sleep 1000; }");
    safe.script("d/2", "");
    ipc::LauncherTable table = hooks_of(safe, {"d"});
    table.set_hook_deadline_ms(kEnoughToForkMs);
    Launcher launcher(table);
    ASSERT_TRUE(launcher.is_ready());
    EXPECT_EQ(launcher.hooks(ipc::LauncherRequest::FREEZE).kind(), Outcome::LATE);
    const pid_t child = std::stoi(read_file(safe.path("pid")));
    EXPECT_TRUE(eventually([&] { return !is_running(child); }));
    launcher.hooks(ipc::LauncherRequest::THAW);
    EXPECT_FALSE(safe.calls().find("d/2") != std::string::npos) << safe.calls();
}

TEST(Hooks, LeftoversAndWhatCannotBeExecutedArePassedOver) {
    const Safe safe;
    for (const char* name : {"d/1~", "d/1.bak", "d/1.rpmsave", "d/1.dpkg-old", "d/.hidden", "d/1.sample"})
        safe.script(name, "");
    safe.script("d/readme", "", 0644);
    safe.script("d/good", "");
    Launcher launcher(hooks_of(safe, {"d", "missing"}));
    ASSERT_TRUE(launcher.is_ready());
    EXPECT_EQ(launcher.hooks(ipc::LauncherRequest::FREEZE).kind(), Outcome::DONE);
    EXPECT_EQ(safe.calls(), "d/good freeze\n");
}

TEST(Hooks, OneThatOthersCanWriteStopsTheStart) {
    const Safe safe;
    safe.script("d/1", "", 0775);
    Launcher launcher(hooks_of(safe, {"d"}));
    EXPECT_FALSE(launcher.is_ready());
    EXPECT_EQ(launcher.close(), 1);
}

TEST(Hooks, OneThatOthersCanWriteLaterIsNotStartedAndFailsTheFreeze) {
    const Safe safe;
    safe.script("d/1", "");
    Launcher launcher(hooks_of(safe, {"d"}));
    ASSERT_TRUE(launcher.is_ready());
    ::chmod(safe.path("d").c_str(), 0777);
    EXPECT_EQ(launcher.hooks(ipc::LauncherRequest::FREEZE).kind(), Outcome::UNSAFE);
    EXPECT_EQ(safe.calls(), "");
}

TEST(Programs, PathsWithAPlaceThatOthersCanWriteAreRefused) {
    const Safe safe;
    safe.script("open/program", "");
    safe.script("closed/program", "");
    ::chmod(safe.path("open").c_str(), 0777);
    std::filesystem::create_symlink(safe.path("open/program"), safe.path("closed/link"));
    std::filesystem::create_symlink("../closed/program", safe.path("closed/relative"));
    std::filesystem::create_symlink("loop", safe.path("closed/loop"));
    std::filesystem::copy_file(safe.path("closed/program"), safe.path("closed/foreign"));
    ASSERT_EQ(::chown(safe.path("closed/foreign").c_str(), 12345, 0), 0);
    for (const char* name : {"open/program", "closed/link", "closed/loop", "closed/foreign"})
        EXPECT_FALSE(Launcher(row_of(safe.path(name))).is_ready()) << name;
    for (const char* name : {"closed/program", "closed/relative"})
        EXPECT_TRUE(Launcher(row_of(safe.path(name))).is_ready()) << name;
    EXPECT_FALSE(Launcher(row_of("relative/program")).is_ready());
    EXPECT_EQ(safe.calls(), "");
}

TEST(Programs, ReplacedAfterTheStartAreJudgedAnew) {
    const Safe safe;
    safe.script("program", "");
    Launcher launcher(row_of(safe.path("program")));
    ASSERT_TRUE(launcher.is_ready());
    EXPECT_EQ(launcher.row(7).kind(), Outcome::DONE);
    ASSERT_EQ(::chown(safe.path("program").c_str(), 12345, 0), 0);
    EXPECT_EQ(launcher.row(7).kind(), Outcome::UNSAFE);
    std::filesystem::remove(safe.path("program"));
    EXPECT_EQ(launcher.row(7).kind(), Outcome::UNSUPPORTED);
    EXPECT_EQ(safe.calls(), "program\n");
}

TEST(Programs, OutputIsBounded) {
    const Safe safe;
    safe.script("program", "head -c 1000000 /dev/zero | tr '\\0' x; exit 1");
    Launcher launcher(row_of(safe.path("program")));
    ASSERT_TRUE(launcher.is_ready());
    EXPECT_EQ(launcher.row(7).output().size(), 2048U);
}

TEST(Programs, OneThatLeavesAProcessBehindIsNotWaitedFor) {
    const Safe safe;
    safe.script("program", "sleep 5 & exit 0");
    Launcher launcher(row_of(safe.path("program")));
    ASSERT_TRUE(launcher.is_ready());
    EXPECT_EQ(launcher.row(7).kind(), Outcome::DONE);
}

TEST(LauncherRequests, AnythingButARowOfTheTableEndsItAndStartsNothing) {
    const Safe safe;
    safe.script("program", "");
    ipc::LauncherRequest unknown;
    unknown.set_row(8);
    ipc::LauncherRequest no_hooks;
    no_hooks.set_hooks(ipc::LauncherRequest::HOOKS_UNSPECIFIED);
    const std::string row("\x08\x07", 2);
    for (const std::string& frame :
         {unknown.SerializeAsString(), no_hooks.SerializeAsString(), row + row,
          row + std::string("\x18\x01", 2), std::string("\x08\x87\x00", 3), std::string("/bin/sh"),
          std::string(17, '\0'), std::string(60'000, 'x')}) {
        Launcher launcher(row_of(safe.path("program")));
        ASSERT_TRUE(launcher.is_ready());
        launcher.send(frame);
        ipc::LauncherReply reply;
        EXPECT_FALSE(launcher.hear(reply));
        EXPECT_EQ(launcher.close(), 1);
    }
    EXPECT_EQ(safe.calls(), "");
}

// A broker that was taken over, and programs that the host names.
class ProgramOrders : public testing::Test {
protected:
    ipc::LauncherTable table() {
        safe_.script("program", "[ \"$1\" = wait ] && sleep 1000; :");
        ipc::LauncherTable table;
        ipc::ExecTemplate& one = *table.add_exec();
        one.set_program(safe_.path("program"));
        one.add_args()->mutable_one_of()->add_text("wait");
        one.mutable_args(0)->mutable_one_of()->add_text("go");
        one.add_args()->mutable_number()->set_most(3);
        one.add_groups(0);
        one.set_output(100);
        one.set_max_runtime_ms(60'000);
        one.set_concurrent(1);
        *table.add_exec() = one;
        table.mutable_exec(1)->mutable_times()->mutable_own()->set_expires(1);
        table.set_takes_users(true);
        return table;
    }
    static ipc::ExecOrder order(std::uint64_t number, const std::vector<std::string>& values) {
        ipc::ExecOrder order;
        order.set_number(number);
        for (const std::string& value : values) order.add_values(value);
        order.set_capture(ipc::ExecOrder::SEPARATED);
        return order;
    }
    static ipc::LauncherRequest part(const ipc::ExecOrder& order) {
        ipc::LauncherRequest request;
        request.mutable_exec_part()->set_data(order.SerializeAsString());
        request.mutable_exec_part()->set_last(true);
        return request;
    }
    void expect_end(const ipc::LauncherRequest& request) {
        Launcher launcher(table_);
        ASSERT_TRUE(launcher.is_ready());
        launcher.tell(request);
        ipc::LauncherReply reply;
        EXPECT_FALSE(launcher.hear(reply)) << reply.op_case();
        EXPECT_EQ(launcher.close(), 1);
        EXPECT_EQ(safe_.calls(), "");
    }
    const Safe safe_;
    const ipc::LauncherTable table_ = table();
};

TEST_F(ProgramOrders, ThatTheTableCoversIsCarriedOut) {
    Launcher launcher(table_);
    ASSERT_TRUE(launcher.is_ready());
    launcher.tell(part(order(5, {"go", "3"})));
    ipc::LauncherReply reply;
    ASSERT_TRUE(launcher.hear(reply) && reply.has_exec_started());
    EXPECT_EQ(reply.exec_started().sys_errno(), 0);
    ASSERT_TRUE(launcher.hear(reply) && reply.has_exec_ended());
    EXPECT_EQ(reply.exec_ended().number(), 5U);
    EXPECT_TRUE(reply.exec_ended().gone());
    EXPECT_EQ(safe_.calls(), "program go 3\n");
}

TEST_F(ProgramOrders, StartNothingUnderASupervisorThatCannotConfineItself) {
    Launcher launcher(table_, refuse_landlock);
    ASSERT_TRUE(launcher.is_ready());
    for (std::uint64_t number = 1; number <= 20; ++number) {
        launcher.tell(part(order(number, {"go", "3"})));
        ipc::LauncherReply reply;
        ASSERT_TRUE(launcher.hear(reply));
        EXPECT_EQ(reply.exec_gone(), number) << reply.op_case();
    }
    EXPECT_EQ(safe_.calls(), "");
}

TEST_F(ProgramOrders, StartNothingWhereTheProgramsUserCannotBeTaken) {
    for (const int call : {SYS_setgroups, SYS_setresgid, SYS_setresuid}) {
        Launcher launcher(table_, [call] { refuse_call(call); });
        ASSERT_TRUE(launcher.is_ready());
        launcher.tell(part(order(1, {"go", "3"})));
        ipc::LauncherReply reply;
        ASSERT_TRUE(launcher.hear(reply) && reply.has_exec_started()) << reply.op_case();
        EXPECT_EQ(reply.exec_started().sys_errno(), ENOSYS) << call;
    }
    EXPECT_EQ(safe_.calls(), "");
}

TEST_F(ProgramOrders, ThatTheTableDoesNotCoverEndItAndStartNothing) {
    for (const std::vector<std::string>& values : {std::vector<std::string>{},
                                                   {"go"},
                                                   {"go", "3", "3"},
                                                   {"go", "4"},
                                                   {"go", "-1"},
                                                   {"go", "03"},
                                                   {"stop", "3"},
                                                   {"3", "go"},
                                                   {"go\n", "3"},
                                                   {"go", std::string("3\0", 2)},
                                                   {"go", "3", "-x"},
                                                   {"--go", "3"},
                                                   std::vector<std::string>(4096, "go"),
                                                   {"", ""}})
        expect_end(part(order(5, values)));
    auto one = order(0, {"go", "3"});
    expect_end(part(one));
    one.set_number(5);
    for (const std::uint32_t number : {2U, 3U, 0xFFFFFFFFU}) {
        one.set_template_(number);
        expect_end(part(one));
    }
    one = order(5, {"go", "3"});
    one.set_program("/bin/sh");
    expect_end(part(one));
    one = order(5, {"go", "3"});
    one.set_input("x");
    expect_end(part(one));
    one = order(5, {"go", "3"});
    one.add_env("A=1");
    expect_end(part(one));
    one.set_has_env(true);
    expect_end(part(one));
    one = order(5, {"go", "3"});
    for (const int capture : {0, 6, 99}) {
        one.set_capture(static_cast<ipc::ExecOrder::Capture>(capture));
        expect_end(part(one));
    }
}

TEST_F(ProgramOrders, ThatAreNoneEndIt) {
    ipc::LauncherRequest request;
    request.mutable_exec_part()->set_data("/bin/sh");
    request.mutable_exec_part()->set_last(true);
    expect_end(request);
    request.mutable_exec_part()->set_data(order(5, {"go", "3"}).SerializeAsString() + "\x48\x01");
    expect_end(request);
    request.mutable_exec_take()->set_number(5);
    expect_end(request);
}

TEST_F(ProgramOrders, WithAMebibyteOfEnvironmentThatTheTableDoesNotCoverEndIt) {
    Launcher launcher(table_);
    ASSERT_TRUE(launcher.is_ready());
    auto one = order(5, {"go", "3"});
    one.set_has_env(true);
    for (int count = 0; count < 16; ++count) one.add_env("A=" + std::string(65'000, 'x'));
    const std::string bytes = one.SerializeAsString();
    ipc::LauncherReply reply;
    for (std::size_t at = 0; at < bytes.size(); at += 60'000) {
        ipc::LauncherRequest request;
        request.mutable_exec_part()->set_data(bytes.substr(at, 60'000));
        request.mutable_exec_part()->set_last(at + 60'000 >= bytes.size());
        launcher.tell(request);
        EXPECT_EQ(launcher.hear(reply), at + 60'000 < bytes.size()) << at;
    }
    EXPECT_EQ(launcher.close(), 1);
    EXPECT_EQ(safe_.calls(), "");
}

TEST_F(ProgramOrders, BeyondTheirSizeEndIt) {
    Launcher launcher(table_);
    ASSERT_TRUE(launcher.is_ready());
    ipc::LauncherRequest request;
    request.mutable_exec_part()->set_data(std::string(60'000, 'x'));
    ipc::LauncherReply reply;
    int taken = 0;
    for (launcher.tell(request); launcher.hear(reply) && reply.has_exec_more() && taken < 100; ++taken)
        launcher.tell(request);
    EXPECT_GT(taken, 15);
    EXPECT_LT(taken, 20);
    EXPECT_EQ(launcher.close(), 1);
}

TEST_F(ProgramOrders, OfARuleThatHasExpiredAreToldSo) {
    Launcher launcher(table_);
    ASSERT_TRUE(launcher.is_ready());
    auto one = order(5, {"go", "3"});
    one.set_template_(1);
    launcher.tell(part(one));
    ipc::LauncherReply reply;
    ASSERT_TRUE(launcher.hear(reply) && reply.has_exec_started());
    EXPECT_EQ(reply.exec_started().sys_errno(), EPERM);
    EXPECT_EQ(safe_.calls(), "");
}

TEST_F(ProgramOrders, MoreAtATimeThanTheTemplateAcceptsEndItAndWhatRuns) {
    Launcher launcher(table_);
    ASSERT_TRUE(launcher.is_ready());
    launcher.tell(part(order(5, {"wait", "1"})));
    ipc::LauncherReply reply;
    ASSERT_TRUE(launcher.hear(reply) && reply.has_exec_started());
    launcher.tell(part(order(6, {"go", "1"})));
    EXPECT_FALSE(launcher.hear(reply));
    EXPECT_EQ(launcher.close(), 1);
    EXPECT_EQ(safe_.calls().find("go"), std::string::npos);
}

TEST_F(ProgramOrders, NumberThatWasUsedEndsIt) {
    Launcher launcher(table_);
    ASSERT_TRUE(launcher.is_ready());
    launcher.tell(part(order(5, {"go", "3"})));
    ipc::LauncherReply reply;
    ASSERT_TRUE(launcher.hear(reply) && reply.exec_started().sys_errno() == 0);
    ASSERT_TRUE(launcher.hear(reply) && reply.exec_ended().gone());
    launcher.tell(part(order(5, {"go", "3"})));
    EXPECT_FALSE(launcher.hear(reply));
    EXPECT_EQ(launcher.close(), 1);
    EXPECT_EQ(safe_.calls(), "program go 3\n");
}

TEST_F(ProgramOrders, OutputBeyondTheEndEndsIt) {
    Launcher launcher(table_);
    ASSERT_TRUE(launcher.is_ready());
    launcher.tell(part(order(5, {"go", "3"})));
    ipc::LauncherReply reply;
    ASSERT_TRUE(launcher.hear(reply) && reply.exec_started().sys_errno() == 0);
    ASSERT_TRUE(launcher.hear(reply) && reply.exec_ended().gone());
    ipc::LauncherRequest take;
    take.mutable_exec_take()->set_number(5);
    launcher.tell(take);
    EXPECT_FALSE(launcher.hear(reply)) << "it wrote nothing";
    EXPECT_EQ(launcher.close(), 1);
}

}  // namespace
}  // namespace sallyport::test
