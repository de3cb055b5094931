// The system calls of the broker. The policy decides which rows are installed.
// Runs in:  broker
//
// A new row names the operation that needs it as its reason, the narrowest condition, and in `when` what in a policy makes it
// necessary. tests/sandbox makes its cases from this table.
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>

#include "ipc/limits.hpp"
#include "sandbox/tables.hpp"

namespace sallyport::sandbox {

namespace {

using enum When;

constexpr ArgIs kArenaLong{1, ~std::uint64_t{0}, kArenaSize};  // ftruncate

// clang-format off
constexpr auto kRows = with_common(std::array{
    //          call                       arguments                 when           reason
    SyscallRule{SCMP_SYS(ppoll),           kAny, kAny,               kAlways,       "wait for worker, nursery, channel and signals"},
    SyscallRule{SCMP_SYS(recvfrom),        is_null(4), kAny,         kAlways,       "frames of a worker, reports of the others; never a descriptor"},
    SyscallRule{SCMP_SYS(sendto),          is_null(4), kAny,         kAlways,       "replies, orders; readiness, over a socket connected before"},
    SyscallRule{SCMP_SYS(sendmsg),         kAny, kAny,               kAlways,       "channel, socket and arena for a new worker, to the nursery; files, to the files hand"},
    SyscallRule{SCMP_SYS(socketpair),      is_int(0, AF_UNIX), kAny, kAlways,       "the socket of a new worker"},
    SyscallRule{SCMP_SYS(read),            kAny, kAny,               kAlways,       "signals"},
    SyscallRule{SCMP_SYS(pread64),         kAny, kAny,               kAlways,       "self-proof: its own status"},
    SyscallRule{SCMP_SYS(write),           is_int(0, STDERR_FILENO), kAny, kAlways, "the journal"},
    SyscallRule{SCMP_SYS(close),           kAny, kAny,               kAlways,       "files, sockets and channels that are done"},
    SyscallRule{SCMP_SYS(geteuid),         kAny, kAny,               kAlways,       "self-proof; whether a peer is its own user"},
    SyscallRule{SCMP_SYS(getegid),         kAny, kAny,               kAlways,       "self-proof"},
    SyscallRule{SCMP_SYS(clock_gettime),   kAny, kAny,               kAlways,       "times and deadlines, where there is no vDSO clock"},
    SyscallRule{SCMP_SYS(memfd_create),    is_int(1, MFD_CLOEXEC | MFD_ALLOW_SEALING), kAny, kAlways, "the arena of a new connection"},
    SyscallRule{SCMP_SYS(ftruncate),       kArenaLong, kAny,         kAlways,       "its size"},
    SyscallRule{SCMP_SYS(fcntl),           is_int(1, F_ADD_SEALS), kAny, kAlways,   "which nobody may change"},
    SyscallRule{SCMP_SYS(mmap),            kWritable, kShared,     kAlways, "map it"},

    SyscallRule{SCMP_SYS(accept4),         kAny, kAny,               kListens,      "a host connects"},
    SyscallRule{SCMP_SYS(getsockopt),      is_int(1, SOL_SOCKET), is_int(2, SO_PEERCRED), kListens, "who connected over a unix socket"},

    SyscallRule{SCMP_SYS(pwrite64),        is_null(3), kAny,         kFreezes,      "the mark of the frozen state, at the beginning of its file"},

    SyscallRule{SCMP_SYS(recvmsg),         kAny, kAny,               kAsksFiles,    "what the files hand has opened; clerks"},
    SyscallRule{SCMP_SYS(preadv2),         kAny, is_int(5, RWF_NOWAIT), kAsksFiles, "what is in the page cache of a file that was handed to it"},
    SyscallRule{SCMP_SYS(lseek),           kAny, kAny,               kAsksFiles,    "guest-file-seek, on such a file"},
    SyscallRule{SCMP_SYS(newfstatat),      kByDescriptor, kAny,      kAsksFiles,    "how large such a file is, and when it was read last"},
    SyscallRule{SCMP_SYS(fstat),           kAny, kAny,               kAsksFiles,    "the same, by later C libraries"},
});
// clang-format on

constexpr auto kTable = of_this_architecture<kRows>();

static_assert(every_row_has_a_reason(kTable));

}  // namespace

std::span<const SyscallRule> broker_syscalls() {
    return kTable;
}

}  // namespace sallyport::sandbox
