// A process whose system call filter the kernel does not take, from outside.
#pragma once

#include <elf.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace sallyport::test {

/// The registers of a process that is stopped at the beginning of a system call.
struct CallRegisters {
    user_regs_struct all{};
    iovec place{.iov_base = &all, .iov_len = sizeof all};

    explicit CallRegisters(pid_t process) {
        ::syscall(SYS_ptrace, PTRACE_GETREGSET, process, NT_PRSTATUS, &place);
    }
    CallRegisters(const CallRegisters&) = delete;
    CallRegisters& operator=(const CallRegisters&) = delete;
#ifdef __aarch64__
    [[nodiscard]] auto& number() { return all.regs[8]; }
    [[nodiscard]] auto& first() { return all.regs[0]; }
    [[nodiscard]] auto& third() { return all.regs[2]; }
#else
    [[nodiscard]] auto& number() { return all.orig_rax; }
    [[nodiscard]] auto& first() { return all.rdi; }
    [[nodiscard]] auto& third() { return all.rdx; }
#endif
};

/// Whether it asks for a filter; without a program the call only asks what there is.
inline bool is_asking_for_filter(pid_t process) {
    CallRegisters registers(process);
    return registers.number() == SYS_seccomp && registers.first() == SECCOMP_SET_MODE_FILTER &&
           registers.third() != 0;
}

/// It gets EFAULT, since the program has no address. For another call its filter, or its parent's, would kill it.
inline bool take_program_away(pid_t process) {
    CallRegisters registers(process);
    registers.third() = 1;
    return ::syscall(SYS_ptrace, PTRACE_SETREGSET, process, NT_PRSTATUS, &registers.place) == 0;
}

/// The kernel takes no filter of the next child of `parent`, who makes it after `ask` was called.
template <typename Ask>
bool refuse_filter_of_next_child(pid_t parent, const Ask& ask) {
    int status = 0;
    if (::syscall(SYS_ptrace, PTRACE_SEIZE, parent, nullptr, PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD) != 0)
        return false;
    ask();
    while (::waitpid(parent, &status, __WALL) == parent && status >> 16 != PTRACE_EVENT_FORK)
        ::syscall(SYS_ptrace, PTRACE_CONT, parent, nullptr, nullptr);
    unsigned long number = 0;
    ::syscall(SYS_ptrace, PTRACE_GETEVENTMSG, parent, nullptr, &number);
    const auto child = static_cast<pid_t>(number);
    while (::waitpid(child, &status, __WALL) == child && WIFSTOPPED(status)) {
        if (WSTOPSIG(status) == (SIGTRAP | 0x80) && is_asking_for_filter(child)) break;
        ::syscall(SYS_ptrace, PTRACE_SYSCALL, child, nullptr, nullptr);
    }
    const bool is_refused = take_program_away(child);
    ::syscall(SYS_ptrace, PTRACE_DETACH, child, nullptr, nullptr);
    ::syscall(SYS_ptrace, PTRACE_DETACH, parent, nullptr, nullptr);
    return is_refused;
}

}  // namespace sallyport::test
