// The system calls of the broker. The policy decides which rows are installed.
// Runs in:  broker
//
// To add a row: the operation that needs it as the reason, the narrowest condition, and in `when` what of a
// policy makes it necessary. tests/sandbox makes its cases from this table.
#include <sys/socket.h>

#include <array>

#include "ipc/limits.hpp"
#include "sandbox/tables.hpp"

namespace sallyport::sandbox {

namespace {

using enum When;

constexpr ArgIs kArenaLong{1, ~std::uint64_t{0}, kArenaSize};   // ftruncate
constexpr ArgIs kWritable = is_int(2, PROT_READ | PROT_WRITE);  // mmap
constexpr std::uint64_t kSameOwner = 0xffff'ffff;               // fchown

// clang-format off
constexpr std::array kTable{
    //          call                       arguments                 when           reason
    SyscallRule{SCMP_SYS(ppoll),           kAny, kAny,               kAlways,       "wait for worker, nursery, channel and signals"},
    SyscallRule{SCMP_SYS(recvfrom),        is_null(4), kAny,         kAlways,       "frames of a worker, reports of the others; never a descriptor"},
    SyscallRule{SCMP_SYS(sendto),          is_null(4), kAny,         kAlways,       "replies, orders; readiness, over a socket connected before"},
    SyscallRule{SCMP_SYS(sendmsg),         kAny, kAny,               kAlways,       "channel, socket and arena for a new worker, to the nursery"},
    SyscallRule{SCMP_SYS(socketpair),      is_int(0, AF_UNIX), kAny, kAlways,       "the socket of a new worker"},
    SyscallRule{SCMP_SYS(read),            kAny, kAny,               kAlways,       "signals; contents of opened files"},
    SyscallRule{SCMP_SYS(pread64),         kAny, kAny,               kAlways,       "self-proof: its own status"},
    SyscallRule{SCMP_SYS(write),           kAny, kAny,               kAlways,       "audit log; contents of opened files"},
    SyscallRule{SCMP_SYS(pwrite64),        kAny, kAny,               kAlways,       "the mark of the frozen state, in the state directory"},
    SyscallRule{SCMP_SYS(close),           kAny, kAny,               kAlways,       "files, sockets and channels that are done"},
    SyscallRule{SCMP_SYS(geteuid),         kAny, kAny,               kAlways,       "self-proof; whether a peer is its own user"},
    SyscallRule{SCMP_SYS(getegid),         kAny, kAny,               kAlways,       "self-proof"},
    SyscallRule{SCMP_SYS(clock_gettime),   kAny, kAny,               kAlways,       "times and deadlines, where there is no vDSO clock"},
    SyscallRule{SCMP_SYS(mmap),            kNotExecutable, kNoFile,  kAlways,       "allocator; never runnable, never a file"},
    SyscallRule{SCMP_SYS(munmap),          kAny, kAny,               kAlways,       "allocator"},
    SyscallRule{SCMP_SYS(mremap),          kAny, kAny,               kAlways,       "allocator"},
    SyscallRule{SCMP_SYS(madvise),         kForgets, kAny,           kAlways,       "allocator; start-up code is forgotten"},
    SyscallRule{SCMP_SYS(memfd_create),    is_int(1, MFD_CLOEXEC | MFD_ALLOW_SEALING), kAny, kAlways, "the arena of a new connection"},
    SyscallRule{SCMP_SYS(ftruncate),       kArenaLong, kAny,         kAlways,       "its size"},
    SyscallRule{SCMP_SYS(fcntl),           is_int(1, F_ADD_SEALS), kAny, kAlways,   "which nobody may change"},
    SyscallRule{SCMP_SYS(mmap),            kWritable, is_int(3, MAP_SHARED), kAlways, "map it"},
    SyscallRule{SCMP_SYS(brk),             kAny, kAny,               kAlways,       "allocator"},
    SyscallRule{SCMP_SYS(restart_syscall), kAny, kAny,               kAlways,       "the kernel's own, after a stop and continue"},
    SyscallRule{SCMP_SYS(exit_group),      kAny, kAny,               kAlways,       "normal end"},

    SyscallRule{SCMP_SYS(accept4),         kAny, kAny,               kListens,      "a host connects"},
    SyscallRule{SCMP_SYS(getsockopt),      is_int(1, SOL_SOCKET), is_int(2, SO_PEERCRED), kListens, "who connected over a unix socket"},

    SyscallRule{SCMP_SYS(getrandom),       kAny, kAny,               kAnyFiles,     "a name that nobody has searched for"},
    SyscallRule{SCMP_SYS(openat2),         kAny, kAny,               kAnyFiles,     "find or make a file, one step of its path at a time"},
    SyscallRule{SCMP_SYS(openat),          lacks_flag(2, O_CREAT), kAny, kAnyFiles, "open the inode that was checked, by its /proc/self/fd name"},
    SyscallRule{SCMP_SYS(readlinkat),      kAny, kAny,               kAnyFiles,     "where the inode lies now; where a link leads"},
    SyscallRule{SCMP_SYS(statx),           kAny, kAny,               kAnyFiles,     "check the inode; which inode a deny rule names now"},
    SyscallRule{SCMP_SYS(fstatfs),         kAny, kAny,               kAnyFiles,     "whether the inode is one of a procfs"},
    SyscallRule{SCMP_SYS(newfstatat),      kByDescriptor, kAny,      kAnyFiles,     "how large an opened file is"},
    SyscallRule{SCMP_SYS(fstat),           kAny, kAny,               kAnyFiles,     "the same, by later C libraries"},
    SyscallRule{SCMP_SYS(lseek),           kAny, kAny,               kAnyFiles,     "guest-file-seek; where a file ends"},
    SyscallRule{SCMP_SYS(fchmod),          kAny, kAny,               kCreatesFiles, "exactly the mode of the rule, whatever the umask"},
    SyscallRule{SCMP_SYS(fchown),          is_int(1, kSameOwner), kAny, kCreatesFiles, "the agent's own group, whatever the directory's"},
    SyscallRule{SCMP_SYS(fremovexattr),    kAny, kAny,               kCreatesFiles, "no access list, whatever the directory's"},
};
// clang-format on

static_assert(every_row_has_a_reason(kTable));

}  // namespace

std::span<const SyscallRule> broker_syscalls() {
    return kTable;
}

}  // namespace sallyport::sandbox
