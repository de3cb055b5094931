// The tables have the calls of this architecture and no others; whoever takes to the numbers of another is killed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "sandbox/tables.hpp"
#include "tests/sandbox/confined.hpp"

namespace sallyport::sandbox::testing {
namespace {

constexpr std::array kTwo{
    SyscallRule{SYS_read, {}, {}, When::kAlways, "a call of every architecture"},
    SyscallRule{-10001, {}, {}, When::kAlways, "libseccomp's number of one that is not here"}};
constexpr auto kLeft = of_this_architecture<kTwo>();

TEST(Tables, KeepTheRowsOfThisArchitecture) {
    EXPECT_EQ(kLeft.size(), 1U);
    EXPECT_EQ(kLeft.front().call, SYS_read);
}

class Table : public ::testing::TestWithParam<Process> {};

INSTANTIATE_TEST_SUITE_P(, Table,
                         ::testing::Values(Process::kBroker, Process::kNursery, Process::kWorker,
                                           Process::kCompiler, Process::kGuard, Process::kInspector,
                                           Process::kRecorder, Process::kFiles, Process::kSetter));

TEST_P(Table, HasNoRowOfAnotherArchitecture) {
    EXPECT_FALSE(syscall_table(GetParam()).empty());
    for (const SyscallRule& row : syscall_table(GetParam())) EXPECT_GE(row.call, 0) << row.reason;
}

#ifdef __aarch64__
// The smallest program for 32-bit ARM: a header, one segment, and the end with status 7.
// clang-format off
constexpr std::array<std::uint32_t, 24> kOldProgram{
    0x464c457f, 0x00010101, 0, 0, 0x00280002, 1, 0x00010054, 52, 0, 0x05000000, 0x00200034, 0x00280001, 0,
    1, 0, 0x00010000, 0x00010000, 96, 96, 5, 0x1000,  // read, execute
    0xe3a00007, 0xe3a07001, 0xef000000,               // mov r0, #7; mov r7, #1; svc 0
};
// clang-format on

constexpr int kNotConfined = 101;

int execute(FdRef program) {
    char* none = nullptr;
    ::syscall(SYS_execveat, program.get(), "", &none, &none, AT_EMPTY_PATH);
    return errno;
}

// A process takes to the numbers of 32-bit programs by executing one. Of all tables one lets it execute anything.
TEST(OldProgram, IsKilledAtItsFirstCallIfThisMachineHasSuchPrograms) {
    const UniqueFd old(::memfd_create("old", MFD_CLOEXEC));
    ASSERT_EQ(::write(old.get(), kOldProgram.data(), sizeof kOldProgram),
              static_cast<ssize_t>(sizeof kOldProgram));
    const Ended alone = in_child([&] { return execute(old); });
    const bool is_known = !alone.exited(ENOEXEC);
    EXPECT_TRUE(alone.exited(is_known ? 7 : ENOEXEC)) << alone.code << " " << alone.status;
    const Ended ended = in_child([&] {
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return kNotConfined;
        return report(install_filter(Process::kNursery, {})) == 0 ? execute(old) : kNotConfined;
    });
    EXPECT_TRUE(is_known ? ended.killed_by_filter() : ended.exited(ENOEXEC))
        << ended.code << " " << ended.status;
}
#endif

}  // namespace
}  // namespace sallyport::sandbox::testing
