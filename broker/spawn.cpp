// Starting the programs that the broker starts: the policy compiler, the nursery and the helpers that the policy needs.
// Runs in:  broker, before lockdown(); afterwards no process can be started
// Relies on: clone3(2), close_range(2), execveat(2)
#include "broker/spawn.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <memory>
#include <string_view>

#include "broker/audit.hpp"
#include "ipc/channel.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::broker {

namespace {

// The inspector sees the guest's mounts, network and host name.
constexpr std::uint64_t kInspectorNamespaces = CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWCGROUP;
constexpr std::uint64_t kNurseryNamespaces = kInspectorNamespaces | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS;

// Takes `descriptors` as 3, 4, ... and the program itself as the next, closes all others, executes. Only
// calls that are safe between fork and exec; on failure the child ends with 127.
[[noreturn]] void become(FdRef executable, std::span<const int> descriptors, char* const* arguments) {
    // First out of the way, then into place: a descriptor may stand where another belongs.
    std::array<int, 8> moved{};
    const int program = ::fcntl(executable.get(), F_DUPFD, 64);
    for (std::size_t at = 0; at < descriptors.size(); ++at) moved[at] = ::fcntl(descriptors[at], F_DUPFD, 64);
    int next = 3;
    for (std::size_t at = 0; at < descriptors.size(); ++at)
        if (::dup2(moved[at], next++) < 0) ::_exit(127);
    if (::dup2(program, next) < 0) ::_exit(127);
    if (::syscall(SYS_close_range, next + 1, ~0U, 0) != 0) ::_exit(127);
    char* const environment[] = {nullptr};
    ::syscall(SYS_execveat, next, "", arguments, environment, AT_EMPTY_PATH);
    ::_exit(127);
}

// In a new process: standard input, output and error.
void take_standard(FdRef null) {
    for (int standard = 0; standard <= 2; ++standard)
        if (::dup2(null.get(), standard) < 0) ::_exit(127);
}

Result<Helper> keep(pid_t pid, UniqueFd socket) {
    Helper helper{.pid = pid, .socket = std::move(socket), .proc = {}};
    helper.proc =
        UniqueFd(::open(("/proc/" + std::to_string(pid)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!helper.proc.is_open()) return system_error("/proc/PID");
    return helper;
}

std::vector<char*> argument_pointers(std::vector<std::string>& arguments) {
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    return pointers;
}

Status write_proc_file(FdRef directory, const char* name, const std::string& text) {
    const UniqueFd file(::openat(directory.get(), name, O_WRONLY | O_CLOEXEC));
    if (!file.is_open()) return system_error(name);
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return system_error(name);
    return {};
}

Status write_id_maps(FdRef proc, const PlainUser& user) {
    const auto line = [](unsigned id) { return std::to_string(id) + " " + std::to_string(id) + " 1\n"; };
    if (const auto done = write_proc_file(proc, "setgroups", "deny"); !done) return done;
    if (const auto done = write_proc_file(proc, "uid_map", line(user.uid)); !done) return done;
    return write_proc_file(proc, "gid_map", line(user.gid));
}

Status wait_for_success(pid_t pid) {
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid) return system_error("waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return failure(Errc::kInvalid, "the policy tool refused its input");
    return {};
}

Result<std::string> collect(FdRef source, std::size_t limit, int deadline_ms) {
    std::string all;
    const std::int64_t end = boottime_ns() + std::int64_t{deadline_ms} * 1'000'000;
    for (;;) {
        const std::int64_t left_ms = (end - boottime_ns()) / 1'000'000;
        pollfd wanted{.fd = source.get(), .events = POLLIN, .revents = 0};
        if (left_ms <= 0 || ::poll(&wanted, 1, static_cast<int>(left_ms)) == 0)
            return failure(Errc::kLimit, "the policy tool took too long");
        std::array<char, 65536> part{};
        const ssize_t got = ::read(source.get(), part.data(), part.size());
        if (got < 0 && errno != EINTR) return system_error("read");
        if (got == 0) return all;
        if (got > 0) all.append(part.data(), static_cast<std::size_t>(got));
        if (all.size() > limit) return failure(Errc::kLimit, "the policy tool's answer is too large");
    }
}

// Starts `executable` as pid 1 of new namespaces in which `user` alone is mapped.
Result<Helper> start_apart(FdRef executable, const PlainUser& user, std::uint64_t namespaces,
                           std::vector<std::string> arguments) {
    auto sockets = ipc::socket_pair();
    if (!sockets) return std::unexpected(sockets.error());
    auto& [ours, theirs] = *sockets;
    std::array<int, 2> go{};
    if (::pipe2(go.data(), O_CLOEXEC) != 0) return system_error("pipe2");
    UniqueFd wait_end(go[0]);
    UniqueFd go_end(go[1]);
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null.is_open()) return system_error("/dev/null");
    const std::vector<char*> pointers = argument_pointers(arguments);

    clone_args how{.flags = namespaces, .exit_signal = SIGCHLD};
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &how, sizeof how));
    if (pid < 0)
        return system_error("clone3: new namespaces (are user namespaces switched off on this system?)");
    if (pid == 0) {
        // Nothing may happen before the ids are mapped; if the broker ends instead, so do we.
        char mapped = 0;
        ::close(go_end.release());
        if (::read(wait_end.get(), &mapped, 1) != 1) ::_exit(127);
        take_standard(null);
        if (!sandbox::carry_capabilities_over_exec()) ::_exit(127);
        const std::array descriptors{theirs.get()};
        become(executable, descriptors, pointers.data());
    }
    auto helper = keep(pid, std::move(ours));
    if (!helper) return helper;
    if (const auto mapped = write_id_maps(helper->proc, user); !mapped)
        return std::unexpected(mapped.error());
    if (::write(go_end.get(), "1", 1) != 1) return system_error("write");
    return helper;
}

}  // namespace

Result<std::string> run_tool(const ToolRun& run) {
    std::vector<std::string> arguments = run.arguments;
    const std::vector<char*> pointers = argument_pointers(arguments);
    std::array<int, 2> answer{};
    if (::pipe2(answer.data(), O_CLOEXEC) != 0) return system_error("pipe2");
    const UniqueFd source(answer[0]);
    UniqueFd output(answer[1]);
    std::vector<int> descriptors{output.get()};
    for (const FdRef fd : run.descriptors) descriptors.push_back(fd.get());
    const pid_t pid = ::fork();
    if (pid < 0) return system_error("fork");
    if (pid == 0) {
        const bool is_root = ::geteuid() == 0;
        if (is_root &&
            (::setgroups(0, nullptr) != 0 || ::setresgid(run.user.gid, run.user.gid, run.user.gid) != 0 ||
             ::setresuid(run.user.uid, run.user.uid, run.user.uid) != 0))
            ::_exit(127);
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(127);
        become(run.executable, descriptors, pointers.data());
    }
    output.reset();
    auto text = collect(source, run.limit, run.deadline_ms);
    if (!text) ::kill(pid, SIGKILL);
    const auto ended = wait_for_success(pid);
    if (!text) return text;
    if (!ended) return std::unexpected(ended.error());
    return text;
}

Result<Helper> start_launcher(FdRef executable) {
    auto sockets = ipc::socket_pair();
    if (!sockets) return std::unexpected(sockets.error());
    std::vector<std::string> arguments{"sallyport-launcher"};
    const std::vector<char*> pointers = argument_pointers(arguments);
    const pid_t pid = ::fork();
    if (pid < 0) return system_error("fork");
    if (pid == 0) become(executable, std::array{sockets->second.get()}, pointers.data());
    return keep(pid, std::move(sockets->first));
}

Result<Helper> start_nursery(FdRef executable, const PlainUser& user) {
    return start_apart(executable, user, kNurseryNamespaces,
                       {"sallyport-nursery", "nursery", std::to_string(user.uid), std::to_string(user.gid)});
}

Result<Helper> start_inspector(FdRef executable, const PlainUser& user, CommandSet commands) {
    std::array<char, 20> bits{};
    std::to_chars(bits.begin(), bits.end(), commands.bits(), 16);
    return start_apart(
        executable, user, kInspectorNamespaces,
        {"sallyport-inspector", std::to_string(user.uid), std::to_string(user.gid), bits.data()});
}

Result<Helper> start_guard(FdRef executable) {
    auto sockets = ipc::socket_pair();
    if (!sockets) return std::unexpected(sockets.error());
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null.is_open()) return system_error("/dev/null");
    std::vector<std::string> arguments{"sallyport-guard", "serve"};
    const std::vector<char*> pointers = argument_pointers(arguments);
    const pid_t pid = ::fork();
    if (pid < 0) return system_error("fork");
    if (pid == 0) {
        take_standard(null);
        const std::array descriptors{sockets->second.get()};
        become(executable, descriptors, pointers.data());
    }
    return keep(pid, std::move(sockets->first));
}

}  // namespace sallyport::broker
