// Starting the programs that the broker starts: the policy compiler, the nursery and the helpers that the policy needs.
// Runs in:  broker, before lockdown(); afterwards no process can be started
// Relies on: clone3(2), close_range(2), execveat(2); /proc
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

constexpr int kAside = 32;  // above the place of any descriptor that a program is given
// The inspector sees the guest's mounts, network and host name.
constexpr std::uint64_t kInspectorNamespaces = CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWCGROUP;
constexpr std::uint64_t kNurseryNamespaces = kInspectorNamespaces | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS;

// One program, and what happens in its process before it is executed.
struct Plan {
    FdRef executable;
    std::vector<std::string> arguments;
    std::vector<FdRef> descriptors;  // become 3, 4, ...
    Status (*prepare)(const Plan&);
    PlainUser user = {};
    std::uint64_t namespaces = 0;  // with a user namespace, `user` is all that is mapped in it
};

Status take_nothing(const Plan&) {
    return {};
}

// Standard input, output and error.
Status take_null(const Plan&) {
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null.is_open()) return system_error("/dev/null");
    for (int standard = 0; standard <= 2; ++standard)
        if (::dup2(null.get(), standard) < 0) return system_error("dup2");
    return {};
}

Status take_null_and_capabilities(const Plan& plan) {
    TRY(take_null(plan));
    return sandbox::carry_capabilities_over_exec();
}

Status take_user(const Plan& plan) {
    const auto [uid, gid] = plan.user;
    if (::geteuid() == 0 &&
        (::setgroups(0, nullptr) != 0 || ::setresgid(gid, gid, gid) != 0 || ::setresuid(uid, uid, uid) != 0))
        return system_error(
            "cannot take the user that it is to run as (is that mapped in this user namespace?)");
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return system_error("PR_SET_NO_NEW_PRIVS");
    return {};
}

// Takes the descriptors and the program itself, as the next, into their places, and executes it, which closes all others. Comes
// back only if that fails.
Error become(const Plan& plan, char* const* arguments) {
    // First out of the way, then into place: a descriptor may stand where another belongs.
    std::array<int, 8> moved{};
    SALLYPORT_CHECK(plan.descriptors.size() < moved.size());
    std::size_t count = 0;
    for (const FdRef fd : plan.descriptors) moved[count++] = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, kAside);
    moved[count++] = ::fcntl(plan.executable.get(), F_DUPFD_CLOEXEC, kAside);
    int next = 3;
    for (std::size_t at = 0; at < count; ++at)
        if (::dup2(moved[at], next++) < 0) return system_error("dup2").error();
    if (::close_range(static_cast<unsigned>(next), ~0U, CLOSE_RANGE_CLOEXEC) != 0)
        return system_error("close_range").error();
    char* const environment[] = {nullptr};
    ::syscall(SYS_execveat, next - 1, "", arguments, environment, AT_EMPTY_PATH);
    return system_error("cannot be executed (its mode, or a mount with noexec?)").error();
}

struct Pipe {
    UniqueFd out;
    UniqueFd in;
    static Result<Pipe> make() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("pipe2");
        return Pipe{.out = UniqueFd(ends[0]), .in = UniqueFd(ends[1])};
    }
};

// THREAT: /proc may hide other users' processes, and ours once they cannot be dumped. So each is opened while it is still a copy
// of us that waits; the descriptors stay good whatever it becomes.
Result<Helper> look_at(pid_t pid) {
    Helper helper{.pid = pid, .socket = {}, .proc = {}, .status = {}};
    helper.proc =
        UniqueFd(::open(("/proc/" + std::to_string(pid)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!helper.proc.is_open()) return system_error("/proc/PID");
    helper.status = UniqueFd(::openat(helper.proc.get(), "status", O_RDONLY | O_CLOEXEC));
    if (!helper.status.is_open()) return system_error("/proc/PID/status");
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
    if (WIFSIGNALED(status)) return failure(Errc::kSystem, "the policy tool was killed by a signal");
    if (WEXITSTATUS(status) != 0) return failure(Errc::kInvalid, "is refused, for the reason given above");
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

// In the new process, which waits until it has been looked at, and ends if the broker does.
[[noreturn]] void carry_out(const Plan& plan, char* const* arguments, Pipe& go, FdRef fault) {
    char word = 0;
    go.in.reset();
    if (::read(go.out.get(), &word, 1) != 1) ::_exit(127);
    const Status prepared = plan.prepare(plan);
    const Error error = prepared ? become(plan, arguments) : prepared.error();
    // The same program on both sides: what is a literal here is one there.
    [[maybe_unused]] const ssize_t told = ::write(fault.get(), &error, sizeof error);
    ::_exit(127);
}

// Starts the program; an error of its process, up to the execution, is ours.
Result<Helper> start(Plan plan) {
    const std::vector<char*> pointers = argument_pointers(plan.arguments);
    Pipe go = TRY(Pipe::make());
    Pipe fault = TRY(Pipe::make());
    clone_args how{.flags = plan.namespaces, .exit_signal = SIGCHLD};
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &how, sizeof how));
    if (pid < 0 && plan.namespaces == 0) return system_error("clone3");
    if (pid < 0)
        return system_error("clone3: new namespaces (are user namespaces switched off on this system?)");
    if (pid == 0) carry_out(plan, pointers.data(), go, fault.in);
    fault.in.reset();
    Helper helper = TRY(look_at(pid));
    if (plan.namespaces != 0) TRY(write_id_maps(helper.proc, plan.user));
    if (::write(go.in.get(), "1", 1) != 1) return system_error("write");
    Error error{};
    if (::read(fault.out.get(), &error, sizeof error) == sizeof error) return std::unexpected(error);
    return helper;
}

// The same for a program that speaks with us by a socket, its descriptor 3; others that it is given come behind that.
Result<Helper> start_peer(Plan plan) {
    auto [ours, theirs] = TRY(ipc::socket_pair());
    plan.descriptors.insert(plan.descriptors.begin(), theirs);
    Helper helper = TRY(start(std::move(plan)));
    helper.socket = std::move(ours);
    return helper;
}

}  // namespace

Result<std::string> run_tool(const ToolRun& run) {
    Pipe answer = TRY(Pipe::make());
    std::vector<FdRef> descriptors{answer.in};
    descriptors.insert(descriptors.end(), run.descriptors.begin(), run.descriptors.end());
    const Helper tool = TRY(start({.executable = run.executable,
                                   .arguments = run.arguments,
                                   .descriptors = std::move(descriptors),
                                   .prepare = take_user,
                                   .user = run.user}));
    answer.in.reset();
    auto text = collect(answer.out, run.limit, run.deadline_ms);
    if (!text) ::kill(tool.pid, SIGKILL);
    const auto ended = wait_for_success(tool.pid);
    if (text && !ended) return std::unexpected(ended.error());
    return text;
}

Result<Helper> start_launcher(FdRef executable) {
    return start_peer(
        {.executable = executable, .arguments = {"sallyport-launcher"}, .prepare = take_nothing});
}

Result<Helper> start_recorder(FdRef executable, const RecorderFiles& files, const policy::AuditTerms& terms) {
    return start_peer({.executable = executable,
                       .arguments = {"sallyport-recorder", std::to_string(terms.max_size),
                                     std::to_string(terms.keep), terms.goes_on ? "let-go" : "wait"},
                       .descriptors = {files.state, files.ring, files.clock},
                       .prepare = take_nothing});
}

Result<Helper> start_files(FdRef executable, FdRef setup, FdRef state) {
    return start_peer({.executable = executable,
                       .arguments = {"sallyport-files"},
                       .descriptors = {setup, state},
                       .prepare = take_nothing});
}

Result<Helper> start_nursery(FdRef executable, const PlainUser& user) {
    return start_peer(
        {.executable = executable,
         .arguments = {"sallyport-nursery", "nursery", std::to_string(user.uid), std::to_string(user.gid)},
         .prepare = take_null_and_capabilities,
         .user = user,
         .namespaces = kNurseryNamespaces});
}

Result<Helper> start_inspector(FdRef executable, const PlainUser& user, CommandSet commands) {
    std::array<char, 20> bits{};
    std::to_chars(bits.begin(), bits.end(), commands.bits(), 16);
    return start_peer({.executable = executable,
                       .arguments = {"sallyport-inspector", std::to_string(user.uid),
                                     std::to_string(user.gid), bits.data()},
                       .prepare = take_null_and_capabilities,
                       .user = user,
                       .namespaces = kInspectorNamespaces});
}

Result<Helper> start_guard(FdRef executable) {
    return start_peer(
        {.executable = executable, .arguments = {"sallyport-guard", "serve"}, .prepare = take_null});
}

}  // namespace sallyport::broker
