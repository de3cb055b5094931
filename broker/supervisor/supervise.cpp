// One program that the host named, from its start until nothing of it is left.
// Runs in:  the supervisor, a child of the launcher
// Input:    what the program writes, which is kept and not looked at; how it and its children end
// Relies on: become.cpp for what the program is given
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>

#include "broker/supervisor/supervise.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::supervisor {

namespace {

constexpr std::size_t kPiece = std::size_t{64} << 10U;

UniqueFd null_device() {
    return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
}

// A sealed copy, so that nobody has to write it piece by piece.
UniqueFd input_of(const ipc::ExecOrder& order) {
    if (!order.has_input()) return null_device();
    UniqueFd file(::memfd_create("sallyport-input", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    const std::string& input = order.input();
    const bool is_done =
        file.is_open() &&
        ::write(file.get(), input.data(), input.size()) == static_cast<ssize_t>(input.size()) &&
        ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0 &&
        ::lseek(file.get(), 0, SEEK_SET) == 0;
    return is_done ? std::move(file) : UniqueFd();
}

struct Stream {
    UniqueFd pipe;  // not open: nobody writes any more, or it was never kept
    off_t place;    // in the memory
    std::uint32_t size = 0;
    bool is_truncated = false;
};

class Supervisor {
public:
    Supervisor(const Launchable& what, FdRef socket, FdRef memory)
        : what_(what), socket_(socket), memory_(memory), end_ms_(now_ms() + what.by.max_runtime_ms()) {}

    void run() {
        if (const int error = start(); error != 0) return say_started(error);
        while (!is_over()) {
            const std::int64_t end = is_started_ ? end_ms_ : std::min(end_ms_, start_ms_);
            const std::int64_t left = end - now_ms();
            if (left <= 0) return end_late();
            if (!wait(static_cast<int>(left))) return;
        }
    }

private:
    int start() {
        std::string path;
        if (const int error = locate(what_.words.front(), environment_of(what_), path); error != 0)
            return error;
        Ends ends{.in = input_of(what_.order), .out = null_device(), .err = null_device()};
        const auto capture = what_.order.capture();
        const bool is_separate = capture == ipc::ExecOrder::SEPARATED;
        const bool is_merged = capture == ipc::ExecOrder::MERGED;
        if (is_separate || is_merged || capture == ipc::ExecOrder::STDOUT) keep(out_, ends.out);
        if (is_separate || capture == ipc::ExecOrder::STDERR) keep(err_, ends.err);
        if (is_merged) ends.err.reset(::fcntl(ends.out.get(), F_DUPFD_CLOEXEC, 3));
        UniqueFd fault;
        keep(fault_, fault);
        sigset_t children;
        ::sigemptyset(&children);
        ::sigaddset(&children, SIGCHLD);
        ::sigprocmask(SIG_BLOCK, &children, nullptr);
        signals_.reset(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
        list_.reset(::open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC));
        for (const UniqueFd* one : {&ends.in, &ends.out, &ends.err, &fault, &signals_, &list_})
            if (!one->is_open()) return EMFILE;
        if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return errno;
        pid_ = ::fork();
        if (pid_ < 0) return errno;
        if (pid_ > 0) return sandbox::lockdown_supervisor() ? 0 : EPERM;
        const int error = become(what_, path, ends);
        [[maybe_unused]] const ssize_t told = ::write(fault.get(), &error, sizeof error);
        ::_exit(127);
    }

    static void keep(Stream& stream, UniqueFd& end) {
        std::array<int, 2> ends{-1, -1};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) return end.reset();
        stream.pipe.reset(ends[0]);
        end.reset(ends[1]);
        ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }

    // Everything that has been said, and nobody is left.
    bool is_over() {
        reap(WNOHANG);
        if (is_reaped_ && is_started_ && !is_ended_ && !out_.pipe.is_open() && !err_.pipe.is_open())
            say_ended(false);
        return is_alone_ && is_ended_;
    }

    // False if there is nothing more to be done here.
    bool wait(int milliseconds) {
        std::array wanted{pollfd{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                          pollfd{.fd = fault_.pipe.get(), .events = POLLIN, .revents = 0},
                          pollfd{.fd = out_.pipe.get(), .events = POLLIN, .revents = 0},
                          pollfd{.fd = err_.pipe.get(), .events = POLLIN, .revents = 0},
                          pollfd{.fd = signals_.get(), .events = POLLIN, .revents = 0}};
        if (::poll(wanted.data(), wanted.size(), milliseconds) <= 0) return true;
        if (wanted[0].revents != 0) return end_all(), false;  // the launcher says nothing: it has ended
        if (wanted[1].revents != 0 && !take_fault()) return false;
        if (wanted[2].revents != 0) take(out_);
        if (wanted[3].revents != 0) take(err_);
        signalfd_siginfo info{};
        if (wanted[4].revents != 0) [[maybe_unused]]
            const ssize_t got = ::read(signals_.get(), &info, sizeof info);
        return true;
    }

    // The pipe closes when the program is executed; before that it says why not.
    bool take_fault() {
        int error = 0;
        const bool is_told = ::read(fault_.pipe.get(), &error, sizeof error) == sizeof error;
        fault_.pipe.reset();
        is_started_ = !is_told;
        say_started(error);
        return is_started_;
    }

    // THREAT: a program writes without end. What is beyond the bound is read, so that it goes on, and thrown away.
    void take(Stream& stream) {
        const ssize_t got = ::read(stream.pipe.get(), piece_.data(), piece_.size());
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got <= 0) return stream.pipe.reset();
        const auto count = static_cast<std::uint32_t>(got);
        const std::uint32_t kept = std::min(count, what_.by.output() - stream.size);
        if (kept < count) stream.is_truncated = true;
        if (kept > 0 && ::pwrite(memory_.get(), piece_.data(), kept, stream.place + stream.size) == kept)
            stream.size += kept;
    }

    void note(const siginfo_t& info) {
        if (info.si_pid != pid_) return;
        is_reaped_ = true;
        has_exited_ = info.si_code == CLD_EXITED;
        status_ = static_cast<std::uint32_t>(info.si_status);
    }

    // Orphans of the program are ours. False once there is nobody any more.
    bool reap(int how) {
        for (;;) {
            siginfo_t info{};
            if (::waitid(P_ALL, 0, &info, WEXITED | how) != 0 && errno != EINTR)
                return is_alone_ = true, false;
            if (info.si_pid == 0) return true;
            note(info);
            if (how == 0) return true;
        }
    }

    // Each is a child of ours that nobody else reaps, so its number is its own.
    void kill_children() {
        std::array<char, 4096> text{};
        const ssize_t got = ::pread(list_.get(), text.data(), text.size(), 0);
        const char* at = text.data();
        const char* const end = at + std::max<ssize_t>(got, 0);
        for (pid_t pid = 0; at < end; ++at) {
            const auto [stopped, error] = std::from_chars(at, end, pid);
            // A number that was cut off is another one's; it comes whole once those before it have gone.
            if (error != std::errc{} || stopped == end) return;
            ::kill(pid, SIGKILL);
            at = stopped;
        }
    }

    // Whoever's parent dies becomes our child, until all have.
    void end_all() {
        do kill_children();
        while (reap(0));
    }

    void end_late() {
        kill_children();
        if (!is_ended_ && is_started_) say_ended(true);
        if (!is_started_) say_started(ETIMEDOUT);
        end_all();
    }

    void say(const ipc::LauncherReply& reply) const {
        std::string bytes;
        ipc::encode(reply, bytes);
        // A launcher that has ended is noticed by the loop.
        [[maybe_unused]] const Status said = ipc::send(socket_, bytes, ipc::WhenFull::kWait);
    }

    void say_started(int error) const {
        ipc::LauncherReply reply;
        reply.mutable_exec_started()->set_number(what_.order.number());
        reply.mutable_exec_started()->set_sys_errno(error);
        say(reply);
    }

    void say_ended(bool is_late) {
        is_ended_ = true;
        out_.pipe.reset();
        err_.pipe.reset();
        ipc::LauncherReply reply;
        ipc::ExecEnded& ended = *reply.mutable_exec_ended();
        ended.set_number(what_.order.number());
        if (is_reaped_ && has_exited_)
            ended.set_exit_code(status_);
        else
            ended.set_signal(is_reaped_ ? status_ : SIGKILL);
        ended.set_late(is_late);
        ended.set_gone(is_alone_);
        ended.set_out_size(out_.size);
        ended.set_err_size(err_.size);
        ended.set_out_truncated(out_.is_truncated);
        ended.set_err_truncated(err_.is_truncated);
        say(reply);
    }

    const Launchable& what_;
    FdRef socket_;
    FdRef memory_;
    std::int64_t end_ms_;
    std::int64_t start_ms_ = now_ms() + kExecStartNs / 1'000'000;  // by then it is executed
    Stream out_{.pipe = {}, .place = 0};
    Stream err_{.pipe = {}, .place = static_cast<off_t>(what_.by.output())};
    Stream fault_{.pipe = {}, .place = 0};
    UniqueFd signals_;
    UniqueFd list_;  // of our children
    pid_t pid_ = -1;
    bool is_started_ = false;
    bool is_reaped_ = false;
    bool has_exited_ = false;
    bool is_ended_ = false;  // and said so
    bool is_alone_ = false;
    std::uint32_t status_ = 0;
    std::vector<char> piece_ = std::vector<char>(kPiece);
};

// Nothing of the launcher's is left but these two.
void close_others(FdRef socket, FdRef memory) {
    const auto [low, high] = std::minmax({socket.get(), memory.get()});
    unsigned next = STDERR_FILENO + 1;
    for (const int kept : {low, high}) {
        if (next < static_cast<unsigned>(kept)) ::close_range(next, static_cast<unsigned>(kept) - 1, 0);
        next = static_cast<unsigned>(kept) + 1;
    }
    ::close_range(next, ~0U, 0);
}

}  // namespace

void supervise(const Launchable& what, FdRef socket, FdRef memory) {
    close_others(socket, memory);
    Supervisor(what, socket, memory).run();
    ::_exit(0);
}

}  // namespace sallyport::supervisor
