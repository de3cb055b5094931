// The nursery and a worker as wholes: started as the broker starts them, by root and by an ordinary user,
// then looked at from outside.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/lockdown.hpp"
#include "sandbox/proof.hpp"
#include "sandbox/syscalls.hpp"
#include "tests/sandbox/confined.hpp"

namespace sallyport::sandbox::testing {
namespace {

constexpr int kPatienceMs = 10'000;
constexpr std::string_view kReady = "N 3 4 6 7";  // with these descriptors and no others

struct Pair {
    UniqueFd ours;
    UniqueFd theirs;
};

Pair sockets() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()), 0);
    return {.ours = UniqueFd(fds[0]), .theirs = UniqueFd(fds[1])};
}

std::string receive_text(FdRef socket) {
    pollfd wanted{.fd = socket.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wanted, 1, kPatienceMs) != 1) return "nothing";
    std::string text(200, '\0');
    const ssize_t got = ::recv(socket.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

void write_text(const std::string& path, const std::string& text) {
    std::ofstream file(path);
    file << text << std::flush;
    EXPECT_TRUE(file.good()) << path;
}

// What a broker gives to a nursery: one end of the control socket, the executable, here also an arena.
struct Given {
    FdRef probe;
    Pair control = sockets();
    UniqueFd arena{::memfd_create("arena", MFD_CLOEXEC)};
};

[[noreturn]] void become_nursery(const Given& given, FdRef go, uid_t uid, gid_t gid) {
    char mapped = 0;
    if (::read(go.get(), &mapped, 1) != 1) std::_Exit(120);
    if (!carry_capabilities_over_exec()) std::_Exit(121);
    constexpr int kAway = 100;  // nothing of these is in the way of 3, 4 or 6 there
    const std::array<std::array<int, 2>, 3> places{
        {{given.control.theirs.get(), 3}, {given.probe.get(), 4}, {given.arena.get(), 6}}};
    for (const auto& [from, to] : places)
        if (::dup3(from, kAway + to, O_CLOEXEC) < 0) std::_Exit(122);
    for (const auto& [from, to] : places)
        if (::dup2(kAway + to, to) < 0) std::_Exit(123);
    // Strangers that the lockdown has to close.
    if (::dup2(STDIN_FILENO, 5) < 0 || ::dup2(STDIN_FILENO, 50) < 0) std::_Exit(124);
    std::array<std::string, 4> texts{"sandbox_probe", "nursery", std::to_string(uid), std::to_string(gid)};
    const std::array<char*, 5> arguments{texts[0].data(), texts[1].data(), texts[2].data(), texts[3].data(),
                                         nullptr};
    char* none = nullptr;
    ::execveat(4, "", arguments.data(), &none, AT_EMPTY_PATH);
    std::_Exit(125);
}

// A nursery, made as the broker makes it.
class Nursery {
public:
    explicit Nursery(Given& given) : socket_(std::move(given.control.ours)) {
        EXPECT_EQ(::ftruncate(given.arena.get(), 4096), 0);
        const bool is_root = ::geteuid() == 0;
        uid_ = is_root ? kOrdinary : ::geteuid();
        gid_ = is_root ? kOrdinary : ::getegid();
        const Pair go = sockets();
        clone_args how{};
        how.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID |
                    CLONE_NEWCGROUP;
        how.exit_signal = SIGCHLD;
        pid_ = static_cast<pid_t>(::syscall(SYS_clone3, &how, sizeof how));
        if (pid_ == 0) become_nursery(given, go.theirs, uid_, gid_);
        EXPECT_GT(pid_, 0);
        given.control.theirs.reset();
        write_text(proc(pid_) + "/setgroups", "deny");
        write_text(proc(pid_) + "/uid_map", std::to_string(uid_) + " " + std::to_string(uid_) + " 1\n");
        write_text(proc(pid_) + "/gid_map", std::to_string(gid_) + " " + std::to_string(gid_) + " 1\n");
        EXPECT_EQ(::write(go.ours.get(), "1", 1), 1);
    }

    // The next report; empty when the nursery and its workers are gone.
    [[nodiscard]] std::string hear() const { return receive_text(socket_); }

    void say(std::string_view text) const {
        EXPECT_EQ(::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
    }

    [[nodiscard]] Ended end() {
        socket_.reset();
        siginfo_t info{};
        EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED), 0);
        return {.code = info.si_code, .status = info.si_status};
    }

    [[nodiscard]] UniqueFd open(const std::string& name, int flags) const { return open(pid_, name, flags); }

    // The same of its worker, its only child.
    [[nodiscard]] UniqueFd open_worker(const std::string& name, int flags) const {
        return open(worker(), name, flags);
    }

    [[nodiscard]] pid_t worker() const {
        pid_t child = 0;
        std::ifstream(proc(pid_) + "/task/" + std::to_string(pid_) + "/children") >> child;
        EXPECT_GT(child, 0);
        return child;
    }

    [[nodiscard]] Expected expected() const { return {.uid = uid_, .gid = gid_}; }
    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    static std::string proc(pid_t pid) { return "/proc/" + std::to_string(pid); }
    static UniqueFd open(pid_t pid, const std::string& name, int flags) {
        UniqueFd file(::open((proc(pid) + name).c_str(), flags | O_CLOEXEC));
        EXPECT_TRUE(file.is_open()) << name;
        return file;
    }

    uid_t uid_ = 0;
    gid_t gid_ = 0;
    pid_t pid_ = -1;
    UniqueFd socket_;
};

void expect_holds(const Expected& expected, const UniqueFd& status) {
    const auto held = read_credentials(status);
    ASSERT_TRUE(held) << held.error().what;
    const auto same = compare(expected, *held);
    EXPECT_TRUE(same) << same.error().what;
}

void expect_apart(const UniqueFd& process) {
    const auto apart = prove_apart(process);
    EXPECT_TRUE(apart) << apart.error().what << " " << apart.error().sys_errno;
}

// The checks run in a child, as root and as an ordinary user.
class Confinement : public ::testing::TestWithParam<bool> {
protected:
    static void run(const std::function<void(Given&)>& checks) {
        // Opened as the user of the test: the ordinary user need not reach the folder it is in.
        const UniqueFd probe(::open(SANDBOX_PROBE, O_RDONLY | O_CLOEXEC));
        ASSERT_TRUE(probe.is_open());
        const auto body = [&] {
            Given given{.probe = probe};
            checks(given);
            return HasFailure() ? 1 : 0;
        };
        const Ended ended = GetParam() ? in_child_as_ordinary_user(body) : in_child(body);
        EXPECT_TRUE(ended.exited()) << ended.code << " " << ended.status;
    }
};

INSTANTIATE_TEST_SUITE_P(, Confinement, ::testing::Bool(),
                         [](const auto& by) { return std::string(by.param ? "ByOrdinaryUser" : "ByRoot"); });

TEST_P(Confinement, NurseryHoldsNothingButTheNamedDescriptors) {
    run([](Given& given) {
        Nursery nursery(given);
        ASSERT_EQ(nursery.hear(), kReady);
        expect_holds(nursery.expected(), nursery.open("/status", O_RDONLY));
        expect_apart(nursery.open("", O_PATH | O_DIRECTORY));
        EXPECT_EQ(nursery.end().code, CLD_EXITED);
    });
}

TEST_P(Confinement, WorkerHoldsNothingAndHasTwoFilters) {
    run([](Given& given) {
        Nursery nursery(given);
        ASSERT_EQ(nursery.hear(), kReady);
        nursery.say("worker");
        ASSERT_EQ(nursery.hear(), "W");
        Expected expected = nursery.expected();
        expected.seccomp_filters = 2;
        expect_holds(expected, nursery.open_worker("/status", O_RDONLY));
        expect_apart(nursery.open_worker("", O_PATH | O_DIRECTORY));
        nursery.say("end");
        EXPECT_EQ(nursery.hear(), "E");
    });
}

// A worker's own filter, on top of the nursery's, as the kernel has it; nothing if the kernel does not show it to us.
std::vector<sock_filter> own_filter(pid_t process) {
    if (::ptrace(PTRACE_ATTACH, process, nullptr, nullptr) != 0) return {};
    EXPECT_EQ(::waitpid(process, nullptr, __WALL), process);
    constexpr unsigned long kSecond = 1;
    const long size = ::ptrace(PTRACE_SECCOMP_GET_FILTER, process, kSecond, nullptr);
    std::vector<sock_filter> program(static_cast<std::size_t>(std::max(size, 0L)));
    EXPECT_EQ(::ptrace(PTRACE_SECCOMP_GET_FILTER, process, kSecond, program.data()), size);
    EXPECT_EQ(::ptrace(PTRACE_DETACH, process, nullptr, nullptr), 0);
    return program;
}

TEST_P(Confinement, WorkersFilterIsTheTablesAndNoOrdinaryUserIsShownIt) {
    run([](Given& given) {
        Nursery nursery(given);
        ASSERT_EQ(nursery.hear(), kReady);
        nursery.say("worker");
        ASSERT_EQ(nursery.hear(), "W");
        const auto table = Filter::compile(Process::kWorker, {});
        ASSERT_TRUE(table);
        const auto is_same = [](const sock_filter& one, const sock_filter& other) {
            return std::memcmp(&one, &other, sizeof one) == 0;
        };
        EXPECT_EQ(std::ranges::equal(own_filter(nursery.worker()), table->program(), is_same),
                  ::geteuid() == 0);
    });
}

TEST_P(Confinement, WorkersEndWithTheNursery) {
    run([](Given& given) {
        Nursery nursery(given);
        ASSERT_EQ(nursery.hear(), kReady);
        nursery.say("worker");
        ASSERT_EQ(nursery.hear(), "W");
        // As the broker made the user namespace, and as no other process of the user may.
        EXPECT_EQ(::kill(nursery.pid(), SIGKILL), 0);
        EXPECT_EQ(nursery.hear(), "") << "the worker had the last copy of the socket";
    });
}

TEST_P(Confinement, NurseryEndsWithTheBroker) {
    run([](Given& given) {
        const UniqueFd kept(::dup(given.control.ours.get()));
        const Ended broker = in_child([&] {
            Nursery nursery(given);
            return nursery.hear() == kReady ? 0 : 1;
        });
        EXPECT_TRUE(broker.exited());
        given.control.theirs.reset();
        EXPECT_EQ(receive_text(kept), "") << "though its control socket is still open at our end";
    });
}

}  // namespace
}  // namespace sallyport::sandbox::testing
