// One program, or one request to the kernel, carried out in a child and waited for.
// Runs in:  launcher, and its child until it executes the program
// Relies on: base/trusted_file.cpp for what may be executed
#include "broker/launcher/launcher.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace sallyport::launcher {

using supervisor::now_ms;
using supervisor::take_usual_state;

namespace {

constexpr std::size_t kMostOutput = 2048;
constexpr const char* kPowerState = "/sys/power/state";

struct KernelRow {
    ipc::KernelAction action;
    unsigned reboot;    // for reboot(2)
    const char* state;  // for /sys/power/state
};
constexpr std::array kKernelRows{
    KernelRow{ipc::POWER_OFF, RB_POWER_OFF, nullptr}, KernelRow{ipc::HALT, RB_HALT_SYSTEM, nullptr},
    KernelRow{ipc::REBOOT, RB_AUTOBOOT, nullptr},     KernelRow{ipc::SLEEP_TO_RAM, 0, "mem"},
    KernelRow{ipc::SLEEP_TO_DISK, 0, "disk"},
};

const KernelRow* find_row(ipc::KernelAction action) {
    for (const KernelRow& row : kKernelRows)
        if (row.action == action) return &row;
    return nullptr;
}

// This and all up to become() run in the child. Returns 0, or the error.
int ask_kernel(ipc::KernelAction action) {
    const KernelRow* row = find_row(action);
    if (row == nullptr) return EINVAL;
    if (row->state == nullptr) {
        ::sync();
        return ::reboot(static_cast<int>(row->reboot)) == 0 ? 0 : errno;
    }
    const UniqueFd file(::open(kPowerState, O_WRONLY | O_CLOEXEC));
    const std::string_view word = row->state;
    const bool done = file.is_open() && ::write(file.get(), word.data(), word.size()) > 0;
    return done ? 0 : errno;
}

// The interpreter of a script opens it by its descriptor, which therefore stays open in the program.
int execute(FdRef program, std::vector<std::string> words) {
    const int kept = ::fcntl(program.get(), F_DUPFD, 3);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    std::string locale = "LC_ALL=C";
    const std::array<char*, 3> environment{path.data(), locale.data(), nullptr};
    ::syscall(SYS_execveat, kept, "", arguments.data(), environment.data(), AT_EMPTY_PATH);
    return errno;
}

// THREAT: a program inherits a descriptor with which it, or whoever it trusts, does more than it should. All of ours are closed.
int become(const Job& job, FdRef program, FdRef output) {
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (::setsid() < 0 || ::dup2(null.get(), 0) < 0 || ::dup2(output.get(), 1) < 0 ||
        ::dup2(output.get(), 2) < 0 || ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
        return errno;
    if (const int error = take_usual_state(); error != 0) return error;
    if (::chdir("/") != 0) return errno;
    return job.words.empty() ? ask_kernel(job.kernel) : execute(program, job.words);
}

// Takes output until the child ends, and discards what is beyond the limit. Returns false at the deadline.
bool wait_for_end(FdRef process, FdRef output, unsigned deadline_ms, std::string& text) {
    const std::int64_t end = now_ms() + deadline_ms;
    std::array wanted{pollfd{.fd = process.get(), .events = POLLIN, .revents = 0},
                      pollfd{.fd = output.get(), .events = POLLIN, .revents = 0}};
    for (;;) {
        const std::int64_t left = end - now_ms();
        const int ready = left <= 0 ? 0 : ::poll(wanted.data(), wanted.size(), static_cast<int>(left));
        if (ready == 0) return false;
        if (ready < 0) continue;
        std::array<char, 4096> part{};
        const ssize_t got = wanted[1].revents == 0 ? 0 : ::read(output.get(), part.data(), part.size());
        if (got > 0)
            text.append(part.data(),
                        std::min<std::size_t>(static_cast<std::size_t>(got), kMostOutput - text.size()));
        if (wanted[1].revents != 0 && got <= 0) wanted[1].fd = -1;
        if (wanted[0].revents != 0 && got <= 0) return true;
    }
}

void take_end(FdRef process, FdRef fault, ipc::Outcome& outcome) {
    siginfo_t info{};
    ::waitid(P_PIDFD, static_cast<id_t>(process.get()), &info, WEXITED);
    int error = 0;
    const bool is_told = ::read(fault.get(), &error, sizeof error) == sizeof error;
    const bool is_done = info.si_code == CLD_EXITED && info.si_status == 0;
    outcome.set_kind(is_told                      ? ipc::Outcome::FAILED
                     : is_done                    ? ipc::Outcome::DONE
                     : info.si_code == CLD_EXITED ? ipc::Outcome::EXITED
                                                  : ipc::Outcome::KILLED);
    outcome.set_number(is_told ? error : info.si_status);
}

void run(const Job& job, FdRef program, ipc::Outcome& outcome) {
    std::array<int, 2> output{};
    std::array<int, 2> fault{};
    outcome.set_kind(ipc::Outcome::FAILED);
    if (::pipe2(output.data(), O_CLOEXEC | O_NONBLOCK) != 0) return outcome.set_number(errno);
    const UniqueFd output_end(output[0]);
    UniqueFd write_end(output[1]);
    if (::pipe2(fault.data(), O_CLOEXEC | O_NONBLOCK) != 0) return outcome.set_number(errno);
    const UniqueFd fault_end(fault[0]);
    UniqueFd tell_end(fault[1]);
    const pid_t pid = ::fork();
    if (pid < 0) return outcome.set_number(errno);
    if (pid == 0) {
        const int error = become(job, program, write_end);
        const bool is_told = error == 0 || ::write(tell_end.get(), &error, sizeof error) == sizeof error;
        ::_exit(error == 0 && is_told ? 0 : 127);
    }
    write_end.reset();
    tell_end.reset();
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    std::string text;
    if (wait_for_end(process, output_end, job.deadline_ms, text)) {
        take_end(process, fault_end, outcome);
    } else {
        // It may wait in the kernel, where nothing kills it. Nobody waits for it; the next run reaps it.
        ::kill(-pid, SIGKILL);
        ::kill(pid, SIGKILL);
        outcome.set_kind(ipc::Outcome::LATE);
    }
    outcome.set_output(text);
}

}  // namespace

bool is_offered(ipc::KernelAction action) {
    const KernelRow* row = find_row(action);
    if (row == nullptr || row->state == nullptr) return row != nullptr;
    const UniqueFd file(::open(kPowerState, O_RDONLY | O_CLOEXEC));
    std::array<char, 64> text{};
    const ssize_t got = file.is_open() ? ::read(file.get(), text.data(), text.size()) : -1;
    return got > 0 && std::string_view(text.data(), static_cast<std::size_t>(got)).find(row->state) !=
                          std::string_view::npos;
}

ipc::Outcome carry_out(const Job& job) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    ipc::Outcome outcome;
    UniqueFd program;
    if (!job.words.empty()) {
        outcome.set_program(job.words.front());
        auto opened = open_trusted(job.words.front());
        if (!opened) {
            outcome.set_kind(opened.error().error.code == Errc::kProof ? ipc::Outcome::UNSAFE
                                                                       : ipc::Outcome::FAILED);
            outcome.set_number(opened.error().error.sys_errno);
            return outcome;
        }
        program = *std::move(opened);
    }
    run(job, program, outcome);
    return outcome;
}

}  // namespace sallyport::launcher
