// What a program's own process does until it executes the program: finds it, and takes its environment, user and bounds.
// Runs in:  a child of the supervisor
// Input:    an order that launcher/programs.cpp has let pass
// Relies on: base/trusted_file.cpp for what may be executed
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "base/trusted_file.hpp"
#include "broker/supervisor/supervise.hpp"
#include "ipc/codec.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::supervisor {

namespace {

constexpr std::string_view kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr rlim_t kFewFiles = 1024;  // the limit that programs expect; the broker has raised its own

void set_variable(Words& env, const std::string& assignment) {
    const std::string_view name = std::string_view(assignment).substr(0, assignment.find('=') + 1);
    const auto at = std::ranges::find_if(env, [&](const std::string& one) { return one.starts_with(name); });
    if (at == env.end())
        env.push_back(assignment);
    else
        *at = assignment;
}

int judge(const std::string& path) {
    const auto opened = open_trusted(path);
    struct stat info{};
    if (!opened) return opened.error().error.code == Errc::kProof ? EACCES : opened.error().error.sys_errno;
    if (::fstat(opened->get(), &info) != 0) return errno;
    return S_ISREG(info.st_mode) ? 0 : EACCES;
}

// Bounds each process and user, where no control group bounds the program. The kernel does not count processes of root.
int take_limits(const ipc::ExecTemplate& by) {
    const ipc::ExecConfine& terms = by.confine();
    if (terms.tasks() != 0 && by.uid() == 0) return EOPNOTSUPP;
    const rlimit memory{.rlim_cur = terms.memory(), .rlim_max = terms.memory()};
    const rlimit tasks{.rlim_cur = terms.tasks(), .rlim_max = terms.tasks()};
    if (terms.memory() != 0 && ::setrlimit(RLIMIT_AS, &memory) != 0) return errno;
    return terms.tasks() != 0 && ::setrlimit(RLIMIT_NPROC, &tasks) != 0 ? errno : 0;
}

// An ordinary user who runs the agent cannot start programs as somebody else.
int take_user(const ipc::ExecTemplate& by) {
    const auto& groups = by.groups();
    if (::geteuid() != 0) return by.uid() == ::geteuid() ? 0 : EPERM;
    const bool is_done = ::setgroups(static_cast<std::size_t>(groups.size()), groups.data()) == 0 &&
                         ::setresgid(by.gid(), by.gid(), by.gid()) == 0 &&
                         ::setresuid(by.uid(), by.uid(), by.uid()) == 0;
    return is_done ? 0 : errno;
}

// Opens the directories before the process takes the program's user, who could put a link in the way.
int open_trees(const ipc::ExecConfine& terms, std::vector<UniqueFd>& trees) {
    const open_how how{.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_NO_SYMLINKS};
    for (const std::string& path : terms.write()) {
        trees.emplace_back(
            static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
        if (!trees.back().is_open()) return errno;
    }
    return 0;
}

int confine(const ipc::ExecTemplate& by, const std::vector<UniqueFd>& trees) {
    std::vector<int> write;
    for (const UniqueFd& one : trees) write.push_back(one.get());
    if (!by.confine().no_new_privileges()) return 0;
    const auto confined = sandbox::confine_program(write);
    return confined ? 0 : std::max(confined.error().sys_errno, 1);
}

std::vector<char*> pointers_to(Words& words) {
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    return pointers;
}

// The shell runs a text without an interpreter line, as for execvp().
int execute(const std::string& path, Words words, Words env) {
    const std::vector<char*> variables = pointers_to(env);
    ::execve(path.c_str(), pointers_to(words).data(), variables.data());
    if (errno != ENOEXEC) return errno;
    words.front() = path;
    words.insert(words.begin(), "/bin/sh");
    ::execve("/bin/sh", pointers_to(words).data(), variables.data());
    return errno;
}

}  // namespace

Words environment_of(const Launchable& what) {
    const auto& given = what.order.env();
    if (what.by.any_env() && what.order.has_env()) return {given.begin(), given.end()};
    Words env{std::string(kPath)};
    for (const auto* from : {&what.by.env(), &given})
        for (const std::string& one : *from) set_variable(env, one);
    return env;
}

int locate(const std::string& name, const Words& env, std::string& path) {
    std::array<char, 4096> here{};
    path = name.starts_with('/') || ::getcwd(here.data(), here.size()) == nullptr
               ? name
               : std::string(here.data()) + "/" + name;
    if (name.empty()) return ENOENT;
    if (name.find('/') != name.npos) return judge(path);
    const auto own =
        std::ranges::find_if(env, [](const std::string& one) { return one.starts_with("PATH="); });
    std::string_view left = (own == env.end() ? kPath : std::string_view(*own)).substr(5);
    int error = ENOENT;
    while (!left.empty()) {
        const std::size_t end = std::min(left.find(':'), left.size());
        path = std::string(left.substr(0, end)) + "/" + name;
        left.remove_prefix(std::min(end + 1, left.size()));
        const int fault = judge(path);
        if (fault == 0 && ::access(path.c_str(), X_OK) == 0) return 0;
        if (fault != ENOENT && fault != ENOTDIR) error = fault == 0 ? EACCES : fault;
    }
    return error;
}

Result<ipc::ExecOrder> read_order(FdRef file) {
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return system_error("fstat");
    std::string bytes(static_cast<std::size_t>(info.st_size), '\0');
    if (::pread(file.get(), bytes.data(), bytes.size(), 0) != info.st_size) return system_error("pread");
    ipc::ExecOrder order;
    std::string scratch;
    TRY(ipc::decode(bytes, order, scratch));
    return order;
}

int prepare_program() {
    if (::setsid() < 0 || ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return errno;
    return take_usual_state();
}

int become(const Launchable& what, const Ends& ends) {
    const pid_t parent = ::getppid();
    std::string path;
    std::vector<UniqueFd> trees;
    if (const int error = locate(what.order.program(), environment_of(what), path); error != 0) return error;
    if (::dup2(ends.in.get(), 0) < 0 || ::dup2(ends.out.get(), 1) < 0 || ::dup2(ends.err.get(), 2) < 0)
        return errno;
    if (const int error = open_trees(what.by.confine(), trees); error != 0) return error;
    if (const int error = what.is_bound ? 0 : take_limits(what.by); error != 0) return error;
    if (what.by.confine().no_network() && ::unshare(CLONE_NEWNET) != 0) return errno;
    if (const int error = take_user(what.by); error != 0) return error;
    if (const int error = confine(what.by, trees); error != 0) return error;
    // After the user, whose change resets this. If the supervisor has ended by then, so does this process.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
    if (::getppid() != parent) return ESRCH;
    Words words{what.order.program()};
    words.insert(words.end(), what.order.values().begin(), what.order.values().end());
    return execute(path, std::move(words), environment_of(what));
}

std::int64_t now_ms() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

int take_usual_state() {
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > kFewFiles) files.rlim_cur = kFewFiles;
    ::umask(022);
    const bool is_done =
        ::setrlimit(RLIMIT_NOFILE, &files) == 0 && ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
    return is_done ? 0 : errno;
}

}  // namespace sallyport::supervisor
