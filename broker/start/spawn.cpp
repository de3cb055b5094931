// Runs in:  starter; the broker can start no process
// Relies on: clone3(2), close_range(2), execveat(2); /proc
#include "broker/start/spawn.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/clock.hpp"
#include "broker/start/installation.hpp"
#include "ipc/channel.hpp"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::starter {

namespace {

constexpr int kAside = 24;  // above the place of every descriptor of a program

// One program, and the state of its process before exec.
struct Plan {
    const Process& row;
    FdRef executable;
    std::vector<std::string> arguments;
    std::vector<FdRef> descriptors;  // become 3, 4, ...
    PlainUser user;
};

// Standard input, output and error.
Status take_null() {
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null.is_open()) return system_error("/dev/null");
    for (int standard = 0; standard <= 2; ++standard)
        if (::dup2(null.get(), standard) < 0) return system_error("dup2");
    return {};
}

Status take_user(const PlainUser& user) {
    const auto [uid, gid] = user;
    if (::geteuid() == 0 &&
        (::setgroups(0, nullptr) != 0 || ::setresgid(gid, gid, gid) != 0 || ::setresuid(uid, uid, uid) != 0))
        return system_error(
            "cannot take the user that it is to run as (is that mapped in this user namespace?)");
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return system_error("PR_SET_NO_NEW_PRIVS");
    return {};
}

// A plain process takes its user here, or by itself once it may do so in its own user namespace.
Status prepare(const Plan& plan) {
    if (plan.row.standard == Standard::kNull) TRY(take_null());
    if (plan.row.runs_as != RunsAs::kPlain) return {};
    if (plan.row.apart == Apart::kNothing) return take_user(plan.user);
    return sandbox::carry_capabilities_over_exec();
}

// Puts the descriptors, then the program itself, into their places, and executes it, which closes all others. Returns only if
// that fails.
Error become(std::span<const FdRef> descriptors, FdRef executable, char* const* arguments) {
    // In two steps, since a descriptor may be where another one belongs.
    std::array<int, kAside - 3> moved{};
    SALLYPORT_CHECK(descriptors.size() < moved.size());
    std::size_t count = 0;
    for (const FdRef fd : descriptors) moved[count++] = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, kAside);
    moved[count++] = ::fcntl(executable.get(), F_DUPFD_CLOEXEC, kAside);
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

// THREAT: /proc may hide the processes of other users, and our own once they are not dumpable. So each is opened while it is
// still a waiting copy of us; the descriptors stay valid after that.
Result<Running> look_at(pid_t pid) {
    Running running{.pid = pid, .socket = {}, .proc = {}, .status = {}};
    running.proc =
        UniqueFd(::open(("/proc/" + std::to_string(pid)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!running.proc.is_open()) return system_error("/proc/PID");
    running.status = UniqueFd(::openat(running.proc.get(), "status", O_RDONLY | O_CLOEXEC));
    if (!running.status.is_open()) return system_error("/proc/PID/status");
    return running;
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

// Runs in the new process. It waits until the starter has opened its /proc entry, and ends if the starter ends.
[[noreturn]] void carry_out(const Plan& plan, char* const* arguments, Pipe& go, FdRef fault) {
    char word = 0;
    go.in.reset();
    if (::read(go.out.get(), &word, 1) != 1) ::_exit(127);
    const Status prepared = prepare(plan);
    const Error error = prepared ? become(plan.descriptors, plan.executable, arguments) : prepared.error();
    // Parent and child are the same program, so a pointer to a literal is valid in both.
    [[maybe_unused]] const ssize_t told = ::write(fault.get(), &error, sizeof error);
    ::_exit(127);
}

// Starts the program. An error in its process before the exec is returned as ours.
Result<Running> begin(Plan plan) {
    const std::vector<char*> pointers = argument_pointers(plan.arguments);
    Pipe go = TRY(Pipe::make());
    Pipe fault = TRY(Pipe::make());
    clone_args how{.flags = namespaces_of(plan.row.apart), .exit_signal = SIGCHLD};
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &how, sizeof how));
    if (pid < 0 && how.flags == 0) return system_error("clone3");
    if (pid < 0)
        return system_error("clone3: new namespaces (are user namespaces switched off on this system?)");
    if (pid == 0) carry_out(plan, pointers.data(), go, fault.in);
    fault.in.reset();
    Running running = TRY(look_at(pid));
    if (how.flags != 0) TRY(write_id_maps(running.proc, plan.user));
    if (::write(go.in.get(), "1", 1) != 1) return system_error("write");
    Error error{};
    if (::read(fault.out.get(), &error, sizeof error) == sizeof error) return std::unexpected(error);
    return running;
}

std::vector<std::string> words_of(const Process& row, const PlainUser& user, const Terms& terms) {
    std::vector<std::string> words{row.title};
    if (row.verb != nullptr) words.emplace_back(row.verb);
    if (row.runs_as == RunsAs::kPlain)
        words.insert(words.end(), {std::to_string(user.uid), std::to_string(user.gid)});
    words.insert(words.end(), terms.words.begin(), terms.words.end());
    return words;
}

std::optional<FdRef> lent(Lent what, const Terms& terms) {
    switch (what) {
        case Lent::kNothing:
            return std::nullopt;
        case Lent::kState:
            return terms.state;
        case Lent::kRing:
            return terms.ring;
        case Lent::kClock:
            return terms.clock;
        case Lent::kBudgets:
            return terms.budgets;
        case Lent::kSetup:
            return terms.setup;
        case Lent::kGroups:
            return terms.groups.get() < 0 ? std::nullopt : std::optional(terms.groups);
    }
    check_failed();
}

// Reads the tool's answer and waits for its end.
Result<std::string> take_answer(const Running& tool, Pipe& answer) {
    answer.in.reset();
    auto text = collect(answer.out, kMaxCompiledSize, kCompileDeadlineMs);
    if (!text) ::kill(tool.pid, SIGKILL);
    const auto ended = wait_for_success(tool.pid);
    if (text && !ended) return std::unexpected(ended.error());
    return text;
}

}  // namespace

Checked<std::string> run_tool(const ToolRun& run) {
    const Executable program = TRY(open_program(kTool));
    Pipe answer = TRY(Pipe::make());
    Plan plan{.row = kTool,
              .executable = program.file,
              .arguments = run.arguments,
              .descriptors = {answer.in},
              .user = TRY(plain_user())};
    plan.arguments.insert(plan.arguments.begin(), kTool.title);
    plan.descriptors.insert(plan.descriptors.end(), run.descriptors.begin(), run.descriptors.end());
    const Running tool = TRY(about(program.path, begin(std::move(plan))));
    auto text = take_answer(tool, answer);
    const bool is_refused = !text && text.error().code == Errc::kInvalid;
    return about(is_refused ? run.input : program.path, std::move(text));
}

Checked<Running> start(const Process& row, const Terms& terms) {
    const Executable program = TRY(open_program(row));
    auto [ours, theirs] = TRY(ipc::socket_pair());
    Plan plan{.row = row, .executable = program.file, .descriptors = {theirs}};
    if (row.runs_as == RunsAs::kPlain) plan.user = TRY(plain_user());
    plan.arguments = words_of(row, plan.user, terms);
    for (const Lent what : row.lent)
        if (const auto fd = lent(what, terms)) plan.descriptors.push_back(*fd);
    Running running = TRY(about(program.path, begin(std::move(plan))));
    running.socket = std::move(ours);
    return running;
}

Result<UniqueFd> sealed(std::string_view bytes) {
    UniqueFd file(::memfd_create("sallyport-setup", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file.is_open()) return system_error("memfd_create");
    if (::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
        return system_error("write");
    if (::lseek(file.get(), 0, SEEK_SET) != 0) return system_error("lseek");
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        return system_error("F_ADD_SEALS");
    return file;
}

Complaint execute_broker(FdRef setup, std::span<const UniqueFd> others) {
    const auto program = open_program(kBroker);
    if (!program) return program.error();
    std::vector<FdRef> descriptors{setup};
    descriptors.insert(descriptors.end(), others.begin(), others.end());
    std::vector<std::string> words{kBroker.title};
    return {become(descriptors, program->file, argument_pointers(words).data()), program->path};
}

}  // namespace sallyport::starter
