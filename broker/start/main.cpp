// sallyportd: the start of the agent in one straight line, up to the execution of the broker.
// Runs in:  starter
// Input:    the admin's command line and files
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "base/complaint.hpp"
#include "base/lock_file.hpp"
#include "broker/start/configure.hpp"
#include "broker/start/own_files.hpp"
#include "broker/start/start.hpp"
#include "ipc/codec.hpp"
#include "sandbox/landlock.hpp"

namespace sallyport::starter {
namespace {

constexpr int kFailure = 1;
constexpr int kNotAgain = 78;

int complain(const Complaint& complaint, int to = STDERR_FILENO) {
    ::dprintf(to, "sallyportd: %s\n", text_of(complaint).c_str());
    return kFailure;
}

Status log_to(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.is_open()) return system_error("log file");
    if (::dup2(file.get(), STDERR_FILENO) < 0) return system_error("dup2");
    return {};
}

// The parent stays until the child serves, so that its exit status says whether the agent runs.
Result<UniqueFd> go_to_background() {
    // A socket, because a confined broker can write only to standard error.
    std::array<int, 2> ready{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ready.data()) != 0)
        return system_error("socketpair");
    UniqueFd read_end(ready[0]);
    UniqueFd write_end(ready[1]);
    const pid_t pid = ::fork();
    if (pid < 0) return system_error("fork");
    if (pid > 0) {
        write_end.reset();
        char byte = 0;
        ::_exit(::read(read_end.get(), &byte, 1) == 1 ? 0 : kFailure);
    }
    ::umask(077);
    if (::setsid() < 0) return system_error("setsid");
    if (::chdir("/") != 0) return system_error("chdir");
    return write_end;
}

// The file outlives us, its lock does not. The lock belongs to the open file, so it survives execve().
Result<UniqueFd> write_pid_file(const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.is_open()) return system_error("Cannot open pid file");
    TRY(close_to_others(file));
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (::fcntl(file.get(), F_OFD_SETLK, &lock) != 0)
        return system_error("Cannot lock pid file (`fuser -v` says who has)");
    const std::string line = std::to_string(::getpid()) + "\n";
    if (::ftruncate(file.get(), 0) != 0 ||
        ::write(file.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
        return system_error("Failed to write pid file");
    return file;
}

Status leave_terminal(bool keeps_stderr) {
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null.is_open()) return system_error("/dev/null");
    for (int standard = 0; standard <= (keeps_stderr ? 1 : 2); ++standard)
        if (::dup2(null.get(), standard) < 0) return system_error("dup2");
    return {};
}

// `parent` stays open even if a later step fails: the parent exits when it is closed, and the error must be printed before that.
Checked<void> enter_background(const policy::compiled::Service& options, UniqueFd& parent,
                               UniqueFd& pid_file) {
    parent = TRY(go_to_background());
    pid_file = TRY(about(options.pidfile(), write_pid_file(options.pidfile())));
    return {};
}

// Returns only on failure. The error is also printed where the start was made, even if there is a log file or the process has
// become a daemon.
int run(const policy::compiled::Service& options, const ReadPolicy& policy) {
    const auto own = own_paths(options, policy);  // before the working directory changes
    if (!own) return complain(own.error());
    UniqueFd parent;
    UniqueFd pid_file;
    if (options.daemonize())
        if (const auto entered = enter_background(options, parent, pid_file); !entered)
            return complain(entered.error());
    UniqueFd terminal(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
    if (!options.logfile().empty())
        if (const auto logging = about(options.logfile(), log_to(options.logfile())); !logging)
            return complain(logging.error());
    if (options.daemonize())
        if (const auto left = leave_terminal(!options.logfile().empty()); !left)
            return complain(left.error());
    const auto complain_twice = [&](const Complaint& complaint) {
        if (!options.logfile().empty()) complain(complaint);
        return complain(complaint, terminal.is_open() ? terminal.get() : STDERR_FILENO);
    };
    auto outfit = prepare(options, policy, *own);
    if (!outfit) return complain_twice(outfit.error());
    outfit->add(broker::Handover::TERMINAL, UniqueFd(::fcntl(terminal.get(), F_DUPFD_CLOEXEC, 3)));
    outfit->add(broker::Handover::PARENT, std::move(parent));
    outfit->add(broker::Handover::PID_FILE, std::move(pid_file));
    return complain_twice(become_broker(*outfit, policy.policy));
}

// The process that starts us may have closed descriptors 0 to 2, ignored SIGCHLD, or set an umask that makes files nobody can
// open.
Status begin_process() {
    for (int standard = 0; standard <= STDERR_FILENO; ++standard)
        if (::fcntl(standard, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != standard)
            return system_error("/dev/null");
    if (::signal(SIGCHLD, SIG_DFL) == SIG_ERR) return system_error("signal");
    // A kernel without it is too old for more than this: it is to be said before something else fails.
    TRY(sandbox::landlock::version());
    // Files in the state directory are for the agent's user alone.
    ::umask(077);
    return {};
}

// What only the admin can mend the unit need not try again: RestartPreventExitStatus=. No host has been heard.
int refuse(const Complaint& complaint) {
    const bool is_mended_by_time = complaint.error.code != Errc::kInvalid;
    const int status = complain(complaint);
    return is_mended_by_time || !is_started_by_unit() ? status : kNotAgain;
}

int main_of_starter(std::vector<std::string> words) {
    ipc::silence_protobuf();
    if (const auto begun = begin_process(); !begun) return complain(begun.error());
    const auto options = read_options(std::move(words));
    if (!options) return refuse(options.error());
    if (options->is_answered()) return 0;
    const auto policy = read_policy(*options);
    if (!policy) return refuse(policy.error());
    return run(*options, *policy);
}

}  // namespace
}  // namespace sallyport::starter

int main(int argc, char** argv) {
    return sallyport::starter::main_of_starter(
        std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
