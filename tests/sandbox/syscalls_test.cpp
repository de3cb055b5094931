// The filters, from the tables that they are made from: what a row lets through works, everything else kills.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <linux/rtc.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <initializer_list>
#include <iterator>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "sandbox/syscalls.hpp"
#include "tests/sandbox/confined.hpp"

namespace sallyport::sandbox::testing {
namespace {

constexpr int kLastCall = 500;  // some way above the newest call of any kernel that there is
// No descriptor, no process, no pointer, no option: a call with it that is let through does nothing.
constexpr std::uint64_t kNothing = 0x7fff'ffff;

constexpr int kNoNewPrivsFailed = 101, kFilterFailed = 102;

using Arguments = std::array<std::uint64_t, 6>;

struct Subject {
    const char* name;
    Process process;
    Needs needs;
};

void PrintTo(const Subject& subject, std::ostream* out) {
    *out << subject.name;
}

const Needs kEverything{.listens = true, .asks_files = true, .freezes = true};
const Needs kAllFiles{.writes_files = true, .creates_files = true, .forks = true};

std::vector<Subject> subjects() {
    return {
        {"BrokerForNothing", Process::kBroker, {}},
        {"BrokerThatListens", Process::kBroker, {.listens = true}},
        {"BrokerWithFiles", Process::kBroker, {.asks_files = true}},
        {"BrokerThatFreezes", Process::kBroker, {.freezes = true}},
        {"BrokerForEverything", Process::kBroker, kEverything},
        {"Nursery", Process::kNursery, {}},
        {"Worker", Process::kWorker, {}},
        {"Compiler", Process::kCompiler, {}},
        {"Guard", Process::kGuard, {.forks = true}},
        {"GuardsPlanner", Process::kGuard, {}},
        {"Inspector", Process::kInspector, {.forks = true}},
        {"Recorder", Process::kRecorder, {}},
        {"SetterOfTheClock", Process::kSetter, {.sets_clock = true}},
        {"SetterOfDevices", Process::kSetter, {.sets_devices = true}},
        {"FilesParent", Process::kFiles, kAllFiles},
        {"FilesParentThatReads", Process::kFiles, {.forks = true}},
        {"Clerk", Process::kFiles, {.writes_files = true, .creates_files = true}},
        {"ClerkThatWrites", Process::kFiles, {.writes_files = true}},
        {"ClerkThatReads", Process::kFiles, {}},
        {"InspectorsChild", Process::kInspector, {}},
        {"InspectorOfTheNetwork", Process::kInspector, {.asks_netlink = true, .forks = true}},
    };
}

std::vector<SyscallRule> installed(const Subject& subject) {
    std::vector<SyscallRule> rows;
    std::ranges::copy_if(syscall_table(subject.process), std::back_inserter(rows),
                         [&](const SyscallRule& row) { return is_needed(row.when, subject.needs); });
    return rows;
}

bool holds(const ArgIs& condition, const Arguments& arguments) {
    return (arguments[condition.index] & condition.mask) == condition.value;
}

// What the table says, read by this test's own few lines.
bool is_let_through(const std::vector<SyscallRule>& rows, int call, const Arguments& arguments) {
    return std::ranges::any_of(rows, [&](const SyscallRule& row) {
        return row.call == call && holds(row.first, arguments) && holds(row.second, arguments);
    });
}

void obey(const ArgIs& condition, Arguments& arguments) {
    auto& argument = arguments[condition.index];
    argument = (argument & ~condition.mask) | condition.value;
}

Arguments arguments_for(const SyscallRule& row) {
    Arguments arguments{kNothing, kNothing, kNothing, kNothing, kNothing, kNothing};
    obey(row.first, arguments);
    obey(row.second, arguments);
    return arguments;
}

// The row's arguments with one bit of one condition wrong.
std::vector<Arguments> near_misses(const SyscallRule& row) {
    std::vector<Arguments> all;
    for (const ArgIs& condition : {row.first, row.second}) {
        for (int bit = 0; bit < 64; ++bit) {
            if ((condition.mask >> static_cast<unsigned>(bit) & 1U) == 0) continue;
            Arguments arguments = arguments_for(row);
            arguments[condition.index] ^= std::uint64_t{1} << static_cast<unsigned>(bit);
            all.push_back(arguments);
        }
    }
    return all;
}

// Compiled once and installed by many, as by the children of nursery, inspector, guard and files hand.
sandbox::Filter compiled(const Subject& subject) {
    auto filter = sandbox::Filter::compile(subject.process, subject.needs);
    EXPECT_TRUE(filter);
    return filter.value_or(sandbox::Filter());
}

Ended call_under_filter(const sandbox::Filter& filter, long number, const Arguments& arguments) {
    return in_child([&] {
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return kNoNewPrivsFailed;
        if (report(filter.install()) != 0) return kFilterFailed;
        ::syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
        return 0;
    });
}

bool installed_at_all(const Ended& ended) {
    return ended.code != CLD_EXITED || (ended.status != kNoNewPrivsFailed && ended.status != kFilterFailed);
}

// From Linux 6.14 on the kernel lets two calls past every filter: the ways out of a uprobe, which give
// whoever does not come from one a signal or an error.
bool is_past_every_filter([[maybe_unused]] int call) {
#ifdef __x86_64__
    return call == 335 || call == 336;  // uretprobe, uprobe
#else
    return false;
#endif
}

class Filter : public ::testing::TestWithParam<Subject> {};

INSTANTIATE_TEST_SUITE_P(, Filter, ::testing::ValuesIn(subjects()),
                         [](const auto& subject) { return std::string(subject.param.name); });

TEST_P(Filter, EachRowLetsItsCallThrough) {
    const auto filter = compiled(GetParam());
    for (const SyscallRule& row : installed(GetParam())) {
        const Ended ended = call_under_filter(filter, row.call, arguments_for(row));
        // rt_sigreturn without a signal ends otherwise, and may.
        EXPECT_FALSE(ended.killed_by_filter()) << row.call << " " << row.reason;
        EXPECT_TRUE(installed_at_all(ended)) << ended.status;
    }
}

TEST_P(Filter, AnArgumentThatNoRowNamesKills) {
    const auto filter = compiled(GetParam());
    const auto rows = installed(GetParam());
    for (const SyscallRule& row : rows) {
        for (const Arguments& arguments : near_misses(row)) {
            if (is_let_through(rows, row.call, arguments)) continue;  // by another row of the same call
            EXPECT_TRUE(call_under_filter(filter, row.call, arguments).killed_by_filter())
                << row.call << " " << row.reason;
        }
    }
}

TEST_P(Filter, ACallThatNoRowNamesKills) {
    const auto filter = compiled(GetParam());
    const auto rows = installed(GetParam());
    for (int call = 0; call <= kLastCall; ++call) {
        if (is_past_every_filter(call)) continue;
        if (std::ranges::any_of(rows, [&](const SyscallRule& row) { return row.call == call; })) continue;
        const Ended ended = call_under_filter(filter, call, arguments_for({}));
        EXPECT_TRUE(ended.killed_by_filter()) << call << ": " << ended.code << " " << ended.status;
    }
}

#ifdef __x86_64__
constexpr long kX32 = 0x4000'0000;

TEST_P(Filter, ACallByX32NumberKills) {
    const auto filter = compiled(GetParam());
    for (const SyscallRule& row : installed(GetParam()))
        EXPECT_TRUE(call_under_filter(filter, kX32 | row.call, arguments_for(row)).killed_by_filter())
            << row.call;
}

int call_by_the_old_interrupt(int number) {
    asm volatile("int $0x80" : "+a"(number) : "b"(-1), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
    return number;
}

// A kernel without a way in for 32-bit programs, as in some virtual machines, kills whoever tries, filter or not.
TEST_P(Filter, ACallByTheOldInterruptKills) {
    const Ended unfiltered = in_child([] { return call_by_the_old_interrupt(20) == ::getpid() ? 0 : 1; });
    const bool has_kernel_none = unfiltered.code == CLD_KILLED && unfiltered.status == SIGSEGV;
    ASSERT_TRUE(has_kernel_none || unfiltered.exited()) << unfiltered.code << " " << unfiltered.status;
    for (const int number : {1, 3, 4, 20, 252}) {  // exit, read, write, getpid, exit_group of 32-bit programs
        const Ended ended = in_child([&] {
            if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return kNoNewPrivsFailed;
            if (report(install_filter(GetParam().process, GetParam().needs)) != 0) return kFilterFailed;
            call_by_the_old_interrupt(number);
            return 0;
        });
        EXPECT_TRUE(has_kernel_none ? ended.code == CLD_KILLED : ended.killed_by_filter())
            << number << ": " << ended.code << " " << ended.status;
    }
}
#endif

bool is_same(const sandbox::Filter& one, const sandbox::Filter& other) {
    return std::ranges::equal(one.program(), other.program(), [](const sock_filter& a, const sock_filter& b) {
        return a.code == b.code && a.jt == b.jt && a.jf == b.jf && a.k == b.k;
    });
}

// By which the nursery hands it to its second run.
TEST_P(Filter, GoesThroughAFileThatNobodyCanChange) {
    const auto filter = compiled(GetParam());
    const auto file = filter.to_file();
    ASSERT_TRUE(file);
    const auto again = sandbox::Filter::from_file(*file);
    ASSERT_TRUE(again);
    EXPECT_FALSE(again->program().empty());
    EXPECT_TRUE(is_same(*again, filter));
    EXPECT_EQ(::pwrite(file->get(), "x", 1, 0), -1);
    EXPECT_EQ(::ftruncate(file->get(), 8), -1);
}

TEST(FilterFile, ThatIsNoneIsRefused) {
    const UniqueFd file(::memfd_create("none", MFD_CLOEXEC));
    EXPECT_FALSE(sandbox::Filter::from_file(file));
    ASSERT_EQ(::write(file.get(), "1234567", 7), 7);
    EXPECT_FALSE(sandbox::Filter::from_file(file));
    EXPECT_FALSE(sandbox::Filter().install());
}

void expect_all(const std::vector<SyscallRule>& rows, const auto& others) {
    for (const SyscallRule& row : others)
        EXPECT_TRUE(is_let_through(rows, row.call, arguments_for(row))) << row.reason;
}

void expect_none(const auto& rows, std::initializer_list<int> calls) {
    for (const SyscallRule& row : rows)
        for (const int call : calls) EXPECT_NE(row.call, call) << row.reason;
}

TEST(Tables, KeepTheirBounds) {
    EXPECT_LE(count_syscalls(Process::kWorker, {}), 16U);
    EXPECT_LE(count_syscalls(Process::kBroker, kEverything), 40U);
}

TEST(Tables, TheBrokerHasNoCallThatOpensOrChangesFilesWhateverThePolicySays) {
    const auto rows = installed({"", Process::kBroker, kEverything});
    expect_none(rows,
                {SCMP_SYS(open),      SYS_openat,      SYS_openat2,  SCMP_SYS(creat), SYS_open_by_handle_at,
                 SYS_statx,           SYS_pwritev,     SYS_pwritev2, SYS_writev,      SYS_truncate,
                 SYS_fallocate,       SYS_fchmod,      SYS_fchown,   SYS_unlinkat,    SYS_renameat2,
                 SYS_linkat,          SYS_sendfile,    SYS_splice,   SYS_readlinkat,  SYS_fstatfs,
                 SYS_copy_file_range, SYS_fremovexattr});
    EXPECT_FALSE(is_let_through(rows, SYS_write, {STDERR_FILENO + 1}));
    // The mark of the frozen state is written at its beginning, where there is a guard.
    EXPECT_FALSE(is_let_through(rows, SYS_pwrite64, {9, 0, 1, 1}));
    EXPECT_FALSE(is_let_through(installed({"", Process::kBroker, {.listens = true, .asks_files = true}}),
                                SYS_pwrite64, {9, 0, 1, 0}));
    EXPECT_FALSE(is_let_through(rows, SYS_preadv2, {9, 0, 1, 0, 0, 0})) << "without RWF_NOWAIT it waits";
}

TEST(Tables, ABrokerForNothingTakesNoDescriptorAndAcceptsNobody) {
    for (const int call : {SYS_recvmsg, SYS_accept4, SYS_preadv2, SYS_lseek})
        EXPECT_FALSE(is_let_through(installed({"", Process::kBroker, {}}), call, arguments_for({}))) << call;
}

// The processes that have one of the calls in their tables, by the names of subjects(). The launcher has no table: what it starts
// would inherit the filter.
std::set<std::string> those_with(std::initializer_list<int> calls) {
    std::set<std::string> found;
    for (const Subject& subject : subjects())
        for (const SyscallRule& row : installed(subject))
            if (std::ranges::find(calls, row.call) != calls.end()) found.insert(subject.name);
    return found;
}

using Names = std::set<std::string>;

TEST(Tables, SubjectsAreAllProcessesThatHaveATable) {
    std::set<int> processes;
    for (const Subject& subject : subjects()) processes.insert(static_cast<int>(subject.process));
    EXPECT_EQ(processes.size(), static_cast<std::size_t>(Process::kSetter) + 1);
}

TEST(Tables, BrokerNurseryAndWorkerOpenNone) {
    EXPECT_EQ(those_with({SCMP_SYS(open), SYS_openat, SYS_openat2, SCMP_SYS(creat), SYS_open_by_handle_at,
                          SYS_open_tree}),
              (Names{"Compiler", "Guard", "GuardsPlanner", "FilesParent", "FilesParentThatReads", "Clerk",
                     "ClerkThatWrites", "ClerkThatReads", "Inspector", "InspectorsChild",
                     "InspectorOfTheNetwork", "Recorder", "SetterOfDevices"}));
}

TEST(Tables, DescriptorsGoFromBrokerToNurseryAndInspectorAndBetweenBrokerAndFilesOnly) {
    for (const Subject& subject : subjects())
        for (const SyscallRule& row : installed(subject)) {
            const auto is = [&](Process one) { return subject.process == one; };
            EXPECT_TRUE(row.call != SYS_sendmsg || is(Process::kBroker) || is(Process::kFiles)) << row.reason;
            EXPECT_TRUE(row.call != SYS_recvmsg || is(Process::kNursery) || is(Process::kFiles) ||
                        (is(Process::kInspector) && subject.needs.forks) ||
                        (is(Process::kBroker) && subject.needs.asks_files))
                << row.reason;
            for (const int call : {SYS_sendmmsg, SYS_recvmmsg, SYS_pidfd_getfd, SYS_io_uring_setup,
                                   SYS_io_uring_enter, SYS_io_uring_register})
                EXPECT_NE(row.call, call) << row.reason;
        }
}

TEST(Tables, OnlyTheGuardHasCallsThatFreezeAndOfIoctlOnlyThese) {
    EXPECT_EQ(those_with({SYS_syncfs}), Names{"Guard"});
    EXPECT_EQ(those_with({SYS_ioctl}), (Names{"Guard", "SetterOfTheClock"}));
    std::set<std::uint64_t> requests;
    for (const SyscallRule& row : syscall_table(Process::kGuard)) {
        if (row.call != SYS_ioctl) continue;
        EXPECT_EQ(row.first.index, 1U);
        EXPECT_EQ(static_cast<std::uint32_t>(row.first.mask), ~std::uint32_t{0});
        requests.insert(row.first.value);
    }
    EXPECT_EQ(requests, (std::set<std::uint64_t>{FIFREEZE, FITHAW, FITRIM}));
}

TEST(Tables, OnlyOneSetterSetsAClockAndTheWallClockAlone) {
    EXPECT_EQ(those_with({SYS_clock_settime, SYS_settimeofday, SYS_adjtimex, SYS_clock_adjtime}),
              Names{"SetterOfTheClock"});
    const auto rows = installed({"", Process::kSetter, {.sets_clock = true}});
    EXPECT_TRUE(is_let_through(rows, SYS_clock_settime, {CLOCK_REALTIME}));
    EXPECT_FALSE(is_let_through(rows, SYS_clock_settime, {CLOCK_MONOTONIC}));
    for (const int call : {SYS_settimeofday, SYS_adjtimex, SYS_clock_adjtime, SYS_openat, SYS_pwrite64})
        for (const SyscallRule& row : rows) EXPECT_NE(row.call, call) << row.reason;
    for (const std::uint64_t request : {RTC_RD_TIME, RTC_SET_TIME})
        EXPECT_TRUE(is_let_through(rows, SYS_ioctl, {3, request}));
    for (const std::uint64_t request : {RTC_ALM_SET, RTC_EPOCH_SET, RTC_WKALM_SET})
        EXPECT_FALSE(is_let_through(rows, SYS_ioctl, {3, request}));
}

TEST(Tables, ASetterMakesAndCutsNoFileAndStartsAndHearsNobody) {
    for (const Needs& needs : {Needs{.sets_clock = true}, Needs{.sets_devices = true}}) {
        const auto rows = installed({"", Process::kSetter, needs});
        for (const SyscallRule& row : rows)
            for (const int call :
                 {SYS_write,   SYS_ftruncate, SYS_unlinkat, SYS_renameat2, SYS_linkat,   SYS_mkdirat,
                  SYS_mknodat, SYS_clone,     SYS_clone3,   SYS_execve,    SYS_execveat, SYS_socket,
                  SYS_connect, SYS_recvfrom,  SYS_recvmsg,  SYS_sendmsg,   SYS_kill,     SYS_mount,
                  SYS_prctl,   SYS_capset,    SYS_seccomp,  SYS_setuid})
                EXPECT_NE(row.call, call) << row.reason;
        for (const int flags : {O_RDWR | O_CREAT, O_RDWR | O_TRUNC, O_RDONLY | O_CREAT, O_WRONLY | O_TRUNC})
            EXPECT_FALSE(is_let_through(rows, SYS_openat, {0, 0, static_cast<std::uint64_t>(flags)}))
                << flags;
    }
}

TEST(Tables, AClerkStartsAndSignalsNoProcessAndMakesNoSocket) {
    for (const SyscallRule& row :
         installed({"", Process::kFiles, {.writes_files = true, .creates_files = true}}))
        for (const int call : {SYS_clone,     SYS_clone3,     SCMP_SYS(fork), SCMP_SYS(vfork),
                               SYS_execve,    SYS_execveat,   SYS_kill,       SYS_pidfd_send_signal,
                               SYS_socket,    SYS_socketpair, SYS_connect,    SYS_bind,
                               SYS_seccomp,   SYS_prctl,      SYS_ioctl,      SYS_mount,
                               SYS_renameat2, SYS_linkat,     SYS_symlinkat,  SYS_mkdirat,
                               SYS_mknodat})
            EXPECT_NE(row.call, call) << row.reason;
}

TEST(Tables, AClerkThatReadsHasNoCallThatWrites) {
    expect_none(installed({"", Process::kFiles, {}}),
                {SYS_write, SYS_pwrite64, SYS_unlinkat, SYS_fchmod, SYS_fchown, SYS_ftruncate});
}

TEST(Tables, TheParentOfTheFilesLetsThroughWhatItsClerksFilterDoes) {
    for (const bool creates : {false, true})
        expect_all(
            installed(
                {"", Process::kFiles, {.writes_files = creates, .creates_files = creates, .forks = true}}),
            installed({"", Process::kFiles, {.writes_files = creates, .creates_files = creates}}));
}

TEST(Tables, TheGuardNeitherMountsNorWritesNorExecutes) {
    expect_none(syscall_table(Process::kGuard),
                {SYS_mount, SYS_umount2, SYS_pivot_root, SYS_setns, SYS_unshare, SYS_write, SYS_pwrite64,
                 SYS_execve, SYS_execveat, SCMP_SYS(open), SYS_connect, SYS_socket, SYS_kill});
}

TEST(Tables, TheGuardsPlannerStartsNothingFreezesNothingAndHearsNobody) {
    const auto rows = installed({"", Process::kGuard, {}});
    expect_none(rows, {SYS_ioctl, SYS_syncfs, SYS_clone, SYS_clone3, SCMP_SYS(fork), SCMP_SYS(vfork),
                       SYS_socketpair, SYS_recvfrom, SYS_capset, SYS_seccomp, SYS_landlock_restrict_self,
                       SYS_prctl, SYS_shutdown, SYS_statx, SYS_fstatfs, SYS_pidfd_send_signal, SYS_openat2});
    // A filter on top of another takes away only: what the planner needs the guard has.
    const auto guard = installed({"", Process::kGuard, {.forks = true}});
    for (const SyscallRule& row : rows)
        EXPECT_TRUE(is_let_through(guard, row.call, arguments_for(row))) << row.reason;
}

TEST(Tables, TheRecorderNeitherTruncatesNorExecutesAndWritesNothingInPlaceButTimeAndBudgets) {
    const auto rows = installed({"", Process::kRecorder, {}});
    expect_none(rows, {SYS_truncate,  SYS_ftruncate, SYS_pwritev,    SYS_writev,  SYS_lseek,       SYS_fcntl,
                       SYS_fallocate, SYS_unlinkat,  SCMP_SYS(open), SYS_openat2, SCMP_SYS(creat), SYS_linkat,
                       SYS_symlinkat, SYS_execve,    SYS_execveat,   SYS_clone3,  SYS_connect,     SYS_socket,
                       SYS_kill,      SYS_ioctl,     SYS_mount,      SYS_sendmsg, SYS_recvmsg});
    for (const std::uint64_t own : {std::uint64_t{kRecordersClock}, std::uint64_t{kRecordersBudgets}})
        EXPECT_FALSE(is_let_through(rows, SYS_pwrite64, {own, 0, 8, 1})) << own;
    for (const std::uint64_t other : {kRecordersClock - 1U, kRecordersBudgets + 1U})
        EXPECT_FALSE(is_let_through(rows, SYS_pwrite64, {other, 0, 8, 0})) << other;
    for (const int flags :
         {O_WRONLY, O_RDWR, O_RDWR | O_CREAT, O_RDWR | O_APPEND | O_TRUNC, O_RDONLY | O_TRUNC})
        EXPECT_FALSE(is_let_through(rows, SYS_openat, {0, 0, static_cast<std::uint64_t>(flags)})) << flags;
}

TEST(Tables, NurseryLetsThroughWhatItsWorkersFilterDoes) {
    expect_all(installed({"", Process::kNursery, {}}), syscall_table(Process::kWorker));
}

TEST(Tables, TheInspectorHasNoCallThatWritesConnectsOrExecutes) {
    const auto rows = installed({"", Process::kInspector, {.asks_netlink = true, .forks = true}});
    expect_none(rows,
                {SYS_write,     SYS_writev,   SYS_pwrite64,   SCMP_SYS(open),  SYS_openat2,   SCMP_SYS(creat),
                 SYS_ftruncate, SYS_truncate, SYS_unlinkat,   SYS_mkdirat,     SYS_renameat2, SYS_fchmod,
                 SYS_ioctl,     SYS_bind,     SYS_connect,    SYS_listen,      SYS_accept4,   SYS_execve,
                 SYS_execveat,  SYS_clone3,   SCMP_SYS(fork), SCMP_SYS(vfork), SYS_kill,      SYS_setuid,
                 SYS_mount,     SYS_ptrace});
    for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_CREAT, O_RDONLY | O_TRUNC, O_RDWR | O_TMPFILE})
        EXPECT_FALSE(is_let_through(rows, SYS_openat, {0, 0, static_cast<std::uint64_t>(flags)})) << flags;
    EXPECT_FALSE(is_let_through(rows, SYS_socket, {AF_INET, SOCK_STREAM, 0}));
    EXPECT_FALSE(is_let_through(rows, SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER}));
    EXPECT_TRUE(is_let_through(rows, SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}));
    EXPECT_FALSE(
        is_let_through(installed({"", Process::kInspector, {}}), SYS_socket, {AF_NETLINK, SOCK_RAW, 0}));
}

TEST(Tables, AChildOfTheInspectorStartsAndSignalsNoProcessAndMakesNoSocketButNetlink) {
    const auto rows = installed({"", Process::kInspector, {.asks_netlink = true}});
    expect_none(rows, {SYS_clone, SYS_clone3, SYS_execve, SYS_execveat, SYS_pidfd_send_signal, SYS_socketpair,
                       SYS_sendmsg, SYS_recvmsg, SYS_seccomp, SYS_landlock_restrict_self});
    EXPECT_FALSE(is_let_through(rows, SYS_socket, {AF_UNIX, SOCK_STREAM, 0}));
}

TEST(Tables, TheInspectorLetsThroughWhatItsChildsFilterDoes) {
    for (const bool asks : {false, true})
        expect_all(installed({"", Process::kInspector, {.asks_netlink = asks, .forks = true}}),
                   installed({"", Process::kInspector, {.asks_netlink = asks}}));
}

TEST(Tables, OnlyNurseryInspectorGuardRecorderAndFilesStartProcesses) {
    EXPECT_EQ(those_with({SYS_clone, SYS_clone3, SCMP_SYS(fork), SCMP_SYS(vfork)}),
              (Names{"Nursery", "Inspector", "InspectorOfTheNetwork", "Guard", "Recorder", "FilesParent",
                     "FilesParentThatReads"}));
}

// The arena is mapped by the broker, and by a worker before it reads a byte of the host.
TEST(Tables, NoMemoryIsMadeRunnableAndNoFileIsMappedButTheArena) {
    constexpr std::uint64_t kOwn = MAP_PRIVATE | MAP_ANONYMOUS, kReadWrite = PROT_READ | PROT_WRITE;
    for (const Subject& subject : subjects()) {
        const auto rows = installed(subject);
        for (const int call : {SYS_mmap, SYS_mprotect, SYS_pkey_mprotect})
            EXPECT_FALSE(is_let_through(rows, call, {0, 4096, PROT_READ | PROT_EXEC, kOwn})) << subject.name;
        const bool starts_workers = subject.process == Process::kNursery;
        EXPECT_EQ(is_let_through(rows, SYS_mmap, {0, 4096, PROT_READ, MAP_PRIVATE}), starts_workers)
            << subject.name;
        // A clerk has the filter of its parent, and one of its own above it.
        const bool maps_arena =
            starts_workers || subject.process == Process::kBroker || subject.process == Process::kFiles;
        EXPECT_EQ(is_let_through(rows, SYS_mmap, {0, 4096, kReadWrite, MAP_SHARED}), maps_arena)
            << subject.name;
    }
}

TEST(Tables, OnlyTheNurseryExecutes) {
    EXPECT_EQ(those_with({SYS_execve, SYS_execveat}), Names{"Nursery"});
}

}  // namespace
}  // namespace sallyport::sandbox::testing
