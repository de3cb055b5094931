// The child that carries out one errand, from its fork to its end, and the processes that it starts for that.
// Runs in:  a child of the launcher
// Input:    an order that was decided twice; the system's user database
// Relies on: base/trusted_file.cpp for what may be executed
#include "broker/accounts/child.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <vector>

#include "base/trusted_file.hpp"
#include "broker/supervisor/supervise.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"
#include "policy/accounts.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::accounts {

namespace {

using ipc::AccountDone;

constexpr unsigned kNobody = 65534;
constexpr int kMostGroups = 4096;
constexpr int kReport = 3;
constexpr int kSecret = 4;

// Nothing of the launcher's is left but these.
Ends keep_only(const Ends& ends) {
    ::dup2(ends.report, kReport);
    if (ends.secret >= 0) ::dup2(ends.secret, kSecret);
    ::close_range(ends.secret >= 0 ? kSecret + 1 : kReport + 1, ~0U, 0);
    return {.report = kReport, .secret = ends.secret >= 0 ? kSecret : -1, .launcher = ends.launcher};
}

// Ends with its parent. That may have ended before this process could look who it is, so it is told.
bool is_tied_to(pid_t parent) {
    return ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::getppid() == parent;
}

// THREAT: a module of the database has what this process has: not the pipe with the secret.
void become_nobody(int kept, pid_t parent) {
    ::close_range(kReport, static_cast<unsigned>(kept) - 1, 0);
    const bool is_root = ::geteuid() == 0;
    if (is_root && (::setgroups(0, nullptr) != 0 || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
                    ::setresuid(kNobody, kNobody, kNobody) != 0))
        ::_exit(1);
    // It waits for a directory service no longer than its parent does.
    if (!is_tied_to(parent)) ::_exit(1);
}

void ask_database(const std::string& name, ipc::Account& account) {
    std::vector<char> text(std::size_t{64} << 10U);
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwnam_r(name.c_str(), &entry, text.data(), text.size(), &found) != 0 || found == nullptr) return;
    std::vector<gid_t> groups(kMostGroups);
    int count = kMostGroups;
    if (::getgrouplist(name.c_str(), entry.pw_gid, groups.data(), &count) < 0) return;
    groups.resize(static_cast<std::size_t>(count));
    std::ranges::sort(groups);
    const auto same = std::ranges::unique(groups);
    groups.erase(same.begin(), same.end());
    account.set_name(name);
    account.set_uid(entry.pw_uid);
    account.set_gid(entry.pw_gid);
    for (const gid_t group : groups) account.add_groups(group);
    account.set_home(entry.pw_dir);
}

// The program's own process. What it says goes nowhere, and it leaves no memory on a disk.
void become_chpasswd(bool crypted, int secret, pid_t parent) {
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    if (::setsid() < 0 || ::dup2(secret, 0) < 0 || ::dup2(null.get(), 1) < 0 || ::dup2(null.get(), 2) < 0 ||
        ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0 || supervisor::take_usual_state() != 0 ||
        ::setrlimit(RLIMIT_CORE, &none) != 0 || ::chdir("/") != 0 || !is_tied_to(parent))
        return;
    std::string name = "chpasswd";
    std::string flag = "-e";
    std::string search = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    std::string locale = "LC_ALL=C";
    const std::array<char*, 3> words{name.data(), crypted ? flag.data() : nullptr, nullptr};
    const std::array<char*, 3> environment{search.data(), locale.data(), nullptr};
    ::execve(policy::kChpasswd, words.data(), environment.data());
}

// A user whom the rule names is what he was when the agent started.
std::optional<ipc::Account> account_of(const ipc::AccountTemplate& by, const std::string& name) {
    if (const ipc::Account* named = policy::find_account(by, name)) return *named;
    return look_up(name);
}

AccountDone carry_out(const ipc::AccountTemplate& by, const ipc::AccountOrder& order, const Ends& ends) {
    const auto account = account_of(by, order.user());
    if (!account) return done_as(AccountDone::NO_USER);
    if (order.has_password()) return run_chpasswd(order.password().crypted(), ends.secret);
    if (const int error = become(*account, ends.launcher); error != 0)
        return done_as(AccountDone::NOT_STARTED, error);
    return work_on_keys(by, order, account->home());
}

}  // namespace

ipc::AccountDone done_as(ipc::AccountDone::Kind kind, int status) {
    ipc::AccountDone done;
    done.set_kind(kind);
    done.set_status(status);
    return done;
}

void run_child(const ipc::AccountTemplate& by, const ipc::AccountOrder& order, const Ends& ends) {
    const Ends kept = keep_only(ends);
    AccountDone done = carry_out(by, order, kept);
    done.set_number(order.number());
    if (done.ByteSizeLong() > kMaxAccountOrder) {
        done = done_as(AccountDone::TOO_LARGE);
        done.set_number(order.number());
    }
    const bool is_told = ipc::say(FdRef(kept.report), done, ipc::WhenFull::kFail).has_value();
    ::_exit(is_told ? 0 : 1);
}

std::optional<ipc::Account> look_up(const std::string& name) {
    auto pair = ipc::socket_pair();
    const pid_t parent = ::getpid();
    const pid_t pid = pair ? ::fork() : -1;
    if (pid < 0) return std::nullopt;
    ipc::Account account;
    if (pid == 0) {
        become_nobody(pair->second.get(), parent);
        ask_database(name, account);
        const bool is_told =
            account.ByteSizeLong() == 0 || ipc::say(pair->second, account, ipc::WhenFull::kFail).has_value();
        ::_exit(is_told ? 0 : 1);
    }
    ::waitpid(pid, nullptr, 0);
    pair->second.reset();
    ipc::Frame frame;
    if (!ipc::hear(pair->first, account, frame).value_or(false)) return std::nullopt;
    const bool is_good = account.name() == name && account.uid() != 0 && policy::is_account(account);
    return is_good ? std::optional(account) : std::nullopt;
}

AccountDone run_chpasswd(bool crypted, int secret) {
    if (const auto judged = open_trusted(policy::kChpasswd); !judged) {
        const Error& error = judged.error().error;
        return done_as(AccountDone::NOT_STARTED, error.code == Errc::kProof ? EACCES : error.sys_errno);
    }
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) return done_as(AccountDone::NOT_STARTED, errno);
    if (pid == 0) {
        become_chpasswd(crypted, secret, parent);
        ::_exit(127);
    }
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return done_as(AccountDone::KILLED);
    return WEXITSTATUS(status) == 0 ? done_as(AccountDone::DONE)
                                    : done_as(AccountDone::EXITED, WEXITSTATUS(status));
}

int become(const ipc::Account& account, pid_t launcher) {
    if (::setsid() < 0) return errno;
    if (const int error = supervisor::take_usual_state(); error != 0) return error;
    const auto& groups = account.groups();
    const bool is_his = ::geteuid() != 0;
    if (is_his && account.uid() != ::geteuid()) return EPERM;
    if (!is_his && (::setgroups(static_cast<std::size_t>(groups.size()), groups.data()) != 0 ||
                    ::setresgid(account.gid(), account.gid(), account.gid()) != 0 ||
                    ::setresuid(account.uid(), account.uid(), account.uid()) != 0))
        return errno;
    if (const auto confined = sandbox::confine_program({}); !confined)
        return std::max(confined.error().sys_errno, 1);
    // The user may not look into it. After the user, whose change takes the rest back.
    if (::prctl(PR_SET_DUMPABLE, 0) != 0) return errno;
    return is_tied_to(launcher) ? 0 : ESRCH;
}

}  // namespace sallyport::accounts
