#include "tests/support/between_calls.hpp"

#include <linux/ptrace.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>

#include <array>
#include <stdexcept>

#include "base/unique_fd.hpp"

namespace sallyport::test {

namespace {

template <typename... More>
long trace(int request, pid_t process, More... more) {
    return ::syscall(SYS_ptrace, request, process, more...);
}

// An exception ends the child: it must not go on as the test.
[[noreturn]] void be_stepped(const std::function<void()>& prepare, const std::function<std::string()>& body,
                             int answer_to) noexcept {
    prepare();
    if (trace(PTRACE_TRACEME, 0, 0, 0) != 0) ::_exit(2);
    ::raise(SIGSTOP);
    const std::string answer = body();
    ::_exit(::write(answer_to, answer.data(), answer.size()) < 0 ? 3 : 0);
}

// Whether the process stopped at the beginning of a call; it goes on with the next wait.
bool begins_call(pid_t process) {
    ptrace_syscall_info info{};
    return trace(PTRACE_GET_SYSCALL_INFO, process, sizeof info, &info) > 0 &&
           info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

}  // namespace

Stepped step_through(const std::function<void()>& prepare, const std::function<std::string()>& body,
                     const std::map<std::size_t, std::function<void()>>& acts) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    const pid_t process = ::fork();
    if (process == 0) be_stepped(prepare, body, write_end.get());
    write_end.reset();
    Stepped stepped;
    int status = 0;
    bool begun = false;
    while (::waitpid(process, &status, 0) == process && WIFSTOPPED(status)) {
        if (!begun) {
            trace(PTRACE_SETOPTIONS, process, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
            begun = true;
        } else if (begins_call(process)) {
            if (const auto act = acts.find(stepped.calls); act != acts.end()) act->second();
            ++stepped.calls;
        }
        trace(PTRACE_SYSCALL, process, 0, 0);
    }
    std::array<char, 256> text{};
    const ssize_t got = ::read(read_end.get(), text.data(), text.size());
    if (got > 0) stepped.answer.assign(text.data(), static_cast<std::size_t>(got));
    return stepped;
}

}  // namespace sallyport::test
