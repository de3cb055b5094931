// Nothing of a worker that was taken over outlives it: it can neither give nor take a descriptor, nor act on the file behind
// one, and each connection has an arena of its own.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <fstream>
#include <regex>

#include "ipc/limits.hpp"
#include "tests/hostile/taken_over.hpp"
#include "tests/support/cases.hpp"
#include "worker/nursery.hpp"

namespace sallyport::test {
namespace {

constexpr std::uint64_t kHost = worker::kWorkerChannel;
constexpr std::uint64_t kBroker = worker::kWorkerBroker;
constexpr std::uint64_t kArena = worker::kWorkerArena;
constexpr std::uint64_t kSomewhere = 1;  // not a null pointer
constexpr std::uint64_t kAnyProcess = 1;

struct Call {
    const char* name;
    std::uint64_t number;
    Puppet::Arguments arguments;
};

class CallThatCouldOutliveAWorker : public TakenOver, public testing::WithParamInterface<Call> {};

TEST_P(CallThatCouldOutliveAWorker, KillsIt) {
    puppet_.call(GetParam().number, GetParam().arguments);
    ASSERT_TRUE(puppet_.is_replaced()) << "it lives";
    EXPECT_EQ(agent_.count_audit("arguments", R"({"exit_status":-1,"signal":31})"), 1U);
    EXPECT_EQ(puppet_.ask(wire::file_flush(1, 1)).error().reason(), ipc::BAD_HANDLE);
    expect_nothing_happened();
}

// clang-format off
const Call kCalls[] = {
    // Give one.
    {"SendMsgToTheBroker",      SYS_sendmsg,         {kBroker, 0, 0}},
    {"SendMsgToTheHost",        SYS_sendmsg,         {kHost, 0, 0}},
    {"SendMmsg",                SYS_sendmmsg,        {kHost, 0, 1, 0}},
    {"SendToAnAddress",         SYS_sendto,          {kBroker, 0, 0, 0, kSomewhere, 110}},
    {"IoUringSetup",            SYS_io_uring_setup,  {1, 0}},
    {"IoUringEnter",            SYS_io_uring_enter,  {kBroker, 1, 0, 0}},
    {"IoUringRegister",         SYS_io_uring_register, {kBroker, 2, 0, 0}},
    {"Splice",                  SYS_splice,          {kArena, 0, kHost, 0, 1, 0}},
    {"SendFile",                SYS_sendfile,        {kHost, kArena, 0, 1}},
    {"Connect",                 SYS_connect,         {kBroker, 0, 0}},
    // Take one.
    {"ReceiveMsgFromTheBroker", SYS_recvmsg,         {kBroker, 0, MSG_DONTWAIT}},
    {"ReceiveMsgFromTheHost",   SYS_recvmsg,         {kHost, 0, MSG_DONTWAIT}},
    {"ReceiveMmsg",             SYS_recvmmsg,        {kHost, 0, 1, MSG_DONTWAIT, 0}},
    {"PidfdOpen",               SYS_pidfd_open,      {kAnyProcess, 0}},
    {"PidfdGetfd",              SYS_pidfd_getfd,     {kBroker, 0, 0}},
    {"Accept",                  SYS_accept4,         {kHost, 0, 0, 0}},
    {"SocketPair",              SYS_socketpair,      {AF_UNIX, SOCK_STREAM, 0, 0}},
    {"MemfdCreate",             SYS_memfd_create,    {0, 0}},
    {"Open",                    SYS_openat,          {static_cast<std::uint64_t>(AT_FDCWD), 0, 0}},
    {"Ptrace",                  SYS_ptrace,          {16, kAnyProcess, 0, 0}},
    {"Fork",                    SYS_clone,           {17, 0, 0, 0, 0}},
    // Hold, lock or change what is behind one.
    {"RecordLock",              SYS_fcntl,           {kArena, F_SETLK, 0}},
    {"OwnLock",                 SYS_fcntl,           {kArena, F_OFD_SETLK, 0}},
    {"Lease",                   SYS_fcntl,           {kArena, F_SETLEASE, F_WRLCK}},
    {"Seal",                    SYS_fcntl,           {kArena, F_ADD_SEALS, F_SEAL_WRITE}},
    {"Duplicate",               SYS_fcntl,           {kArena, F_DUPFD, 0}},
    {"Dup3",                    SYS_dup3,            {kArena, 40, 0}},
    {"Flock",                   SYS_flock,           {kArena, 2}},
    {"Fallocate",               SYS_fallocate,       {kArena, 3, 0, 4096}},
    {"Truncate",                SYS_ftruncate,       {kArena, kArenaSize}},
    {"MapTheArenaAgain",        SYS_mmap,            {0, kArenaSize, PROT_READ, MAP_SHARED, kArena, 0}},
    {"PunchAHole",              SYS_madvise,         {0, 0, MADV_REMOVE}},
    {"LetPagesWait",            SYS_userfaultfd,     {0}},
    {"LingerOnClose",           SYS_setsockopt,      {kHost, SOL_SOCKET, SO_LINGER, 0, 0}},
    {"Shutdown",                SYS_shutdown,        {kHost, SHUT_RDWR}},
};
// clang-format on
INSTANTIATE_TEST_SUITE_P(, CallThatCouldOutliveAWorker, testing::ValuesIn(kCalls), case_name<Call>);

// The inode of the arena that a process has mapped, empty if it has none.
std::string mapped_arena(pid_t process) {
    std::ifstream maps("/proc/" + std::to_string(process) + "/maps");
    const std::regex arena(R"(\S+ \S+ \S+ \S+ (\d+) +/memfd:sallyport-arena.*)");
    std::smatch found;
    for (std::string line; std::getline(maps, line);)
        if (std::regex_match(line, found, arena)) return found[1];
    return {};
}

class Arena : public TakenOver {
protected:
    [[nodiscard]] pid_t broker() { return agent_.broker().pid(); }
};

TEST_F(Arena, HasNoDescriptorInAWorkerThatReadsTheHost) {
    EXPECT_EQ(puppet_.errno_of(SYS_write, {kArena, 0, 0}), EBADF);
    EXPECT_FALSE(mapped_arena(agent_.worker()).empty());
    for (const std::string& link : list_descriptors(agent_.worker()))
        EXPECT_FALSE(link.starts_with("/memfd"));
}

TEST_F(Arena, OfOneConnectionIsNotThatOfTheNext) {
    const std::string first = mapped_arena(agent_.worker());
    ASSERT_EQ(mapped_arena(broker()), first);
    puppet_.exit(0);
    const Puppet next(agent_);
    EXPECT_NE(mapped_arena(agent_.worker()), first);
    EXPECT_EQ(mapped_arena(agent_.worker()), mapped_arena(broker()));
}

TEST_F(Arena, IsGoneWithItsConnection) {
    ASSERT_FALSE(mapped_arena(broker()).empty());
    puppet_.exit(0);
    EXPECT_TRUE(eventually([this] { return mapped_arena(broker()).empty(); }));
    for (const std::string& link : list_descriptors(broker())) EXPECT_FALSE(link.contains("arena"));
}

TEST_F(Arena, StaysWhileAConnectionIsServedByOneWorkerAfterTheOther) {
    const std::string first = mapped_arena(agent_.worker());
    puppet_.crash();
    ASSERT_TRUE(puppet_.is_replaced());
    EXPECT_EQ(mapped_arena(agent_.worker()), first);
}

// Where the program of a process lies in its memory.
std::string layout_of(pid_t process) {
    std::string start;
    std::getline(std::ifstream("/proc/" + std::to_string(process) + "/maps"), start, '-');
    return start;
}

class AddressLayout : public TakenOver {
protected:
    const std::string first_ = layout_of(agent_.worker());

    void expect_another() {
        ASSERT_FALSE(first_.empty());
        ASSERT_TRUE(puppet_.is_replaced());
        EXPECT_NE(layout_of(agent_.worker()), first_);
        EXPECT_EQ(layout_of(agent_.worker()), layout_of(agent_.nursery())) << "it is forked";
    }
};

TEST_F(AddressLayout, OfAWorkerThatCrashedIsNotThatOfTheNext) {
    puppet_.crash();
    expect_another();
}

TEST_F(AddressLayout, OfAWorkerThatWasKilledForACallIsNotThatOfTheNext) {
    puppet_.call(SYS_getpid, {});
    expect_another();
}

TEST_F(AddressLayout, OfAWorkerThatWasKilledForAViolationIsNotThatOfTheNext) {
    puppet_.send("garbage");
    expect_another();
}

TEST_F(AddressLayout, IsAnotherAfterEachCrash) {
    std::string last = first_;
    for (int at = 0; at < 3; ++at) {
        puppet_.crash();
        ASSERT_TRUE(puppet_.is_replaced());
        EXPECT_NE(layout_of(agent_.worker()), last);
        last = layout_of(agent_.worker());
    }
}

}  // namespace
}  // namespace sallyport::test
