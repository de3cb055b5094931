// The system calls of a worker, and of the nursery that forks it.
// Runs in:  nursery, worker
//
// Filters add up: a worker is under the nursery's filter and its own. So the nursery's table contains the worker's rows, what a worker
// does before its lockdown, and what the nursery's second run needs.
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <array>
#include <csignal>

#include "sandbox/tables.hpp"

namespace sallyport::sandbox {

namespace {

constexpr auto kA = When::kAlways;

// THREAT: a worker parses the bytes of the host. These rows are all that it can ask of the kernel once it was taken over. No row passes
// a descriptor on or receives one, or acts on the file behind one: whatever a worker has ends with it.
// clang-format off
constexpr auto kWorkerRows = with_common(std::array{
    //          call                       arguments                when  reason
    SyscallRule{SCMP_SYS(read),            kAny, kAny,              kA, "bytes from the host channel"},
    SyscallRule{SCMP_SYS(write),           kAny, kAny,              kA, "bytes to the host channel"},
    SyscallRule{SCMP_SYS(recvfrom),        is_null(4), kAny,        kA, "replies of the broker"},
    SyscallRule{SCMP_SYS(sendto),          is_null(4), kAny,        kA, "requests to the broker"},
    SyscallRule{SCMP_SYS(epoll_pwait),     kAny, kAny,              kA, "wait for host, broker or deadline"},
    SyscallRule{SCMP_SYS(epoll_ctl),       kAny, kAny,              kA, "stop listening to a host that does not read"},
    SyscallRule{SCMP_SYS(ppoll),           kAny, kAny,              kA, "wait while the broker's socket is full"},
    SyscallRule{SCMP_SYS(close),           kAny, kAny,              kA, "descriptors at the end"},
    SyscallRule{SCMP_SYS(clock_gettime),   kAny, kAny,              kA, "deadlines, where there is no vDSO clock"},
});

constexpr std::array kNurseryOnly{
    //          call                                arguments                          when  reason
    // The nursery's own work.
    SyscallRule{SCMP_SYS(recvmsg),                  kAny, kAny,                        kA, "orders of the broker, with what a new worker is to have"},
    SyscallRule{SCMP_SYS(clone),                    is_int(0, CLONE_PIDFD | SIGCHLD), kAny, kA, "fork a worker; no thread, no namespace"},
    SyscallRule{SCMP_SYS(dup3),                     kAny, kAny,                        kA, "place its descriptors"},
    SyscallRule{SCMP_SYS(pidfd_send_signal),        is_int(1, SIGKILL), kAny,          kA, "kill a worker"},
    SyscallRule{SCMP_SYS(waitid),                   kAny, kAny,                        kA, "how a worker ended"},
    // Its second run, which gives workers another address layout: execution and the C library's start.
    SyscallRule{SCMP_SYS(execveat),                 has_flag(4, AT_EMPTY_PATH), kAny,  kA, "execute itself, by descriptor; Landlock: that one file"},
    SyscallRule{SCMP_SYS(arch_prctl),               kAny, kAny,                        kA, "its start: thread pointer"},
    SyscallRule{SCMP_SYS(set_tid_address),          kAny, kAny,                        kA, "its start"},
    SyscallRule{SCMP_SYS(set_robust_list),          kAny, kAny,                        kA, "its start"},
    SyscallRule{SCMP_SYS(rseq),                     kAny, kAny,                        kA, "its start"},
    SyscallRule{SCMP_SYS(readlink),                 kAny, kAny,                        kA, "its start: /proc/self/exe, which is not there"},
    SyscallRule{SCMP_SYS(readlinkat),               kAny, kAny,                        kA, "its start, where there is no readlink"},
    SyscallRule{SCMP_SYS(getrandom),                kAny, kAny,                        kA, "its start: allocator and hash seeds"},
    SyscallRule{SCMP_SYS(mprotect),                 kNotExecutable, kAny,              kA, "its start: relocations become read-only"},
    SyscallRule{SCMP_SYS(futex),                    is_int(1, FUTEX_WAKE_PRIVATE), kAny, kA, "its start: once-only initialisers"},
    SyscallRule{SCMP_SYS(prlimit64),                is_int(0, 0), kAny,                kA, "its start: stack size; its limits"},
    // A worker before its lockdown, and the lockdown.
    SyscallRule{SCMP_SYS(epoll_create1),            kAny, kAny,                        kA, "the worker's event loop"},
    SyscallRule{SCMP_SYS(newfstatat),               kByDescriptor, kAny,               kA, "size of the arena and of the compiled filter"},
    SyscallRule{SCMP_SYS(fstat),                    kAny, kAny,                        kA, "the same, by later C libraries"},
    SyscallRule{SCMP_SYS(mmap),                     kNotExecutable, kAny,              kA, "the arena; the compiled filter"},
    SyscallRule{SCMP_SYS(prctl),                    is_int(0, PR_SET_DUMPABLE), kAny,  kA, "lockdown"},
    SyscallRule{SCMP_SYS(landlock_create_ruleset),  kAny, kAny,                        kA, "lockdown"},
    SyscallRule{SCMP_SYS(landlock_restrict_self),   kAny, kAny,                        kA, "lockdown"},
    SyscallRule{SCMP_SYS(seccomp),                  is_int(0, SECCOMP_SET_MODE_FILTER), kAny, kA, "lockdown: the worker's own filter"},
};
// clang-format on

constexpr auto kNurseryRows = joined(kWorkerRows, kNurseryOnly);

constexpr auto kWorkerTable = of_this_architecture<kWorkerRows>();
constexpr auto kNurseryTable = of_this_architecture<kNurseryRows>();

static_assert(every_row_has_a_reason(kNurseryTable));

}  // namespace

std::span<const SyscallRule> worker_syscalls() {
    return kWorkerTable;
}

std::span<const SyscallRule> nursery_syscalls() {
    return kNurseryTable;
}

}  // namespace sallyport::sandbox
