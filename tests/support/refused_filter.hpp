// A process whose system call filter the kernel does not take, from outside.
#pragma once

#include <linux/seccomp.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

namespace sallyport::test {

/// The kernel takes no filter of the next child of `parent`, who makes it after `ask` was called.
template <typename Ask>
bool refuse_filter_of_next_child(pid_t parent, const Ask& ask) {
    int status = 0;
    if (::ptrace(PTRACE_SEIZE, parent, nullptr, PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD) != 0)
        return false;
    ask();
    while (::waitpid(parent, &status, __WALL) == parent && status >> 16 != PTRACE_EVENT_FORK)
        ::ptrace(PTRACE_CONT, parent, nullptr, nullptr);
    unsigned long number = 0;
    ::ptrace(PTRACE_GETEVENTMSG, parent, nullptr, &number);
    const auto child = static_cast<pid_t>(number);
    user_regs_struct registers{};
    // Without a program the call only asks what there is.
    const auto installs = [&] {
        return WSTOPSIG(status) == (SIGTRAP | 0x80) && registers.orig_rax == SYS_seccomp &&
               registers.rdi == SECCOMP_SET_MODE_FILTER && registers.rdx != 0;
    };
    while (::waitpid(child, &status, __WALL) == child && WIFSTOPPED(status)) {
        ::ptrace(PTRACE_GETREGS, child, nullptr, &registers);
        if (installs()) break;
        ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    }
    registers.rdx = 1;  // no address: EFAULT. For another call its parent's filter would kill it.
    const bool is_refused = ::ptrace(PTRACE_SETREGS, child, nullptr, &registers) == 0;
    ::ptrace(PTRACE_DETACH, child, nullptr, nullptr);
    ::ptrace(PTRACE_DETACH, parent, nullptr, nullptr);
    return is_refused;
}

}  // namespace sallyport::test
