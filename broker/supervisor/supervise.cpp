// One program that the host named, from its start until nothing of it is left.
// Runs in:  the supervisor, a child of the launcher
// Input:    what the program writes, which is kept and not parsed; how it and its children end
// Relies on: become.cpp for what the program gets
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
#include <memory>

#include "broker/supervisor/group.hpp"
#include "broker/supervisor/supervise.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::supervisor {

namespace {

constexpr int kLingerMs = 5;
constexpr std::size_t kPiece = std::size_t{64} << 10U;

UniqueFd null_device() {
    return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
}

// Makes a sealed copy, so that nobody has to write the input piece by piece.
UniqueFd input_of(const ipc::ExecOrder& order) {
    if (!order.has_input()) return {};
    UniqueFd file(::memfd_create("sallyport-input", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    const std::string& input = order.input();
    const bool is_done =
        file.is_open() &&
        ::write(file.get(), input.data(), input.size()) == static_cast<ssize_t>(input.size()) &&
        ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0 &&
        ::lseek(file.get(), 0, SEEK_SET) == 0;
    return is_done ? std::move(file) : UniqueFd();
}

// The program's ends of the pipes for its output; not open for a stream that is not kept.
struct Kept {
    UniqueFd out;
    UniqueFd err;
};

struct Stream {
    UniqueFd pipe;  // not open once nobody writes any more, or if the stream is not kept
    off_t place;    // in the memory
    std::uint32_t size = 0;
    bool is_truncated = false;
};

// The program's own process: waits for a byte that says that its supervisor is locked down, then for an order, and becomes the program.
// Returns only with an error, or with 0 if there will be no order.
int wait_and_become(const ipc::LauncherTable& table, const Lines& lines, const Kept& kept, FdRef locked) {
    if (const int error = prepare_program(); error != 0) return error;
    const bool has_group = lines.group.get() >= 0;
    if (const int error = has_group ? enter_group(lines.group) : 0; error != 0) return error;
    // Runs once before there is an order, to page in its code while nobody waits.
    std::string path;
    auto order = read_order(lines.order);
    [[maybe_unused]] const int rehearsed = locate("/", {}, path);
    char byte = 0;
    if (::read(locked.get(), &byte, 1) != 1 || ::read(lines.go.get(), &byte, 1) != 1) return 0;
    order = read_order(lines.order);
    if (!order) return EINVAL;
    const auto capture = order->capture();
    const bool is_both = capture == ipc::ExecOrder::SEPARATED;
    const bool is_merged = capture == ipc::ExecOrder::MERGED;
    const bool has_out = is_both || is_merged || capture == ipc::ExecOrder::STDOUT;
    const bool has_err = is_both || capture == ipc::ExecOrder::STDERR;
    const UniqueFd null = null_device();
    const UniqueFd input = input_of(*order);
    const Ends ends{.in = order->has_input() ? FdRef(input) : FdRef(null),
                    .out = has_out ? FdRef(kept.out) : FdRef(null),
                    .err = is_merged ? FdRef(kept.out)
                           : has_err ? FdRef(kept.err)
                                     : FdRef(null)};
    if (ends.in.get() < 0 || !null.is_open()) return EMFILE;
    return become({.by = table.exec(static_cast<int>(order->template_())),
                   .order = *order,
                   .is_bound = has_group && table.groups_bind()},
                  ends);
}

class Supervisor {
public:
    Supervisor(const ipc::LauncherTable& table, const Lines& lines) : table_(table), lines_(lines) {}

    void run() {
        if (!prepare() || !await_order()) return;
        while (!is_over()) {
            const std::int64_t end = is_started_ ? end_ms_ : std::min(end_ms_, start_ms_);
            const std::int64_t left = end - now_ms();
            if (left <= 0) return end_late();
            if (!wait(static_cast<int>(left))) return;
        }
    }

private:
    bool prepare() {
        Kept kept;
        UniqueFd fault;
        keep(out_, kept.out);
        keep(err_, kept.err);
        keep(fault_, fault);
        sigset_t children;
        ::sigemptyset(&children);
        ::sigaddset(&children, SIGCHLD);
        ::sigprocmask(SIG_BLOCK, &children, nullptr);
        signals_.reset(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
        list_.reset(::open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC));
        if (lines_.group.get() >= 0 && !(killer_ = open_killer(lines_.group)).is_open()) return false;
        for (const UniqueFd* one : {&kept.out, &kept.err, &fault, &signals_, &list_})
            if (!one->is_open()) return false;
        if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return false;
        std::array<int, 2> ends{-1, -1};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) return false;
        const UniqueFd locked(ends[0]);
        UniqueFd tells(ends[1]);
        const pid_t parent = ::getpid();
        pid_ = ::fork();
        if (pid_ != 0)
            return pid_ > 0 && sandbox::lockdown_supervisor().has_value() && ::write(tells.get(), "", 1) == 1;
        tells.reset();
        const bool is_bound = ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::getppid() == parent;
        const int error = is_bound ? wait_and_become(table_, lines_, kept, locked) : ESRCH;
        [[maybe_unused]] const bool is_told = error == 0 || ::write(fault.get(), &error, sizeof error) > 0;
        ::_exit(127);
    }

    // Returns false if there will be no order, or no process that could become the program.
    bool await_order() {
        std::array wanted{pollfd{.fd = lines_.socket.get(), .events = POLLIN, .revents = 0},
                          pollfd{.fd = fault_.pipe.get(), .events = POLLIN, .revents = 0}};
        ipc::Frame frame;
        ipc::ExecOrder order;
        std::string scratch;
        // Runs once before there is a frame, to page in its code.
        auto got = ipc::receive(lines_.socket, frame);
        while (got && !*got) {
            [[maybe_unused]] const Status rehearsed = ipc::decode(frame.bytes, order, scratch);
            ::poll(wanted.data(), wanted.size(), -1);
            if (wanted[0].revents == 0 && wanted[1].revents != 0) return end_all(), false;
            got = ipc::receive(lines_.socket, frame);
        }
        if (!got || !ipc::decode(frame.bytes, order, scratch)) return end_all(), false;
        const ipc::ExecTemplate& by = table_.exec(static_cast<int>(order.template_()));
        number_ = order.number();
        output_ = by.output();
        err_.place = static_cast<off_t>(output_);
        end_ms_ = now_ms() + by.max_runtime_ms();
        start_ms_ = now_ms() + kExecStartNs / 1'000'000;
        const auto capture = order.capture();
        const bool is_both = capture == ipc::ExecOrder::SEPARATED;
        if (!is_both && capture != ipc::ExecOrder::MERGED && capture != ipc::ExecOrder::STDOUT)
            out_.pipe.reset();
        if (!is_both && capture != ipc::ExecOrder::STDERR) err_.pipe.reset();
        return true;
    }

    static void keep(Stream& stream, UniqueFd& end) {
        std::array<int, 2> ends{-1, -1};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) return end.reset();
        stream.pipe.reset(ends[0]);
        end.reset(ends[1]);
        ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }

    // All was reported, and no process is left.
    bool is_over() {
        reap(WNOHANG);
        if (is_reaped_ && is_started_ && !is_ended_ && !out_.pipe.is_open() && !err_.pipe.is_open())
            say_ended(false);
        return is_alone_ && is_ended_;
    }

    // Returns false when nothing is left to do.
    bool wait(int milliseconds) {
        std::array wanted{pollfd{.fd = lines_.socket.get(), .events = POLLIN, .revents = 0},
                          pollfd{.fd = fault_.pipe.get(), .events = POLLIN, .revents = 0},
                          pollfd{.fd = out_.pipe.get(), .events = POLLIN, .revents = 0},
                          pollfd{.fd = err_.pipe.get(), .events = POLLIN, .revents = 0},
                          pollfd{.fd = signals_.get(), .events = POLLIN, .revents = 0}};
        if (::poll(wanted.data(), wanted.size(), milliseconds) <= 0) return true;
        // The launcher sends nothing more, so this is its end.
        if (wanted[0].revents != 0) return end_all(), false;
        if (wanted[1].revents != 0 && !take_fault()) return false;
        if (wanted[2].revents != 0) take(out_);
        if (wanted[3].revents != 0) take(err_);
        signalfd_siginfo info{};
        if (wanted[4].revents != 0) [[maybe_unused]]
            const ssize_t got = ::read(signals_.get(), &info, sizeof info);
        return true;
    }

    // The pipe closes when the program is executed; an error that prevents that comes through it.
    bool take_fault() {
        int error = 0;
        const bool is_told = ::read(fault_.pipe.get(), &error, sizeof error) == sizeof error;
        fault_.pipe.reset();
        is_started_ = !is_told;
        say_started(error);
        return is_started_;
    }

    // THREAT: a program writes without end. Output beyond the bound is read, so that the program goes on, and discarded.
    void take(Stream& stream) {
        const ssize_t got = ::read(stream.pipe.get(), piece_->data(), piece_->size());
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got <= 0) return stream.pipe.reset();
        const auto count = static_cast<std::uint32_t>(got);
        const std::uint32_t kept = std::min(count, output_ - stream.size);
        if (kept < count) stream.is_truncated = true;
        if (kept > 0 &&
            ::pwrite(lines_.memory.get(), piece_->data(), kept, stream.place + stream.size) == kept)
            stream.size += kept;
    }

    void note(const siginfo_t& info) {
        if (info.si_pid != pid_) return;
        is_reaped_ = true;
        has_exited_ = info.si_code == CLD_EXITED;
        status_ = static_cast<std::uint32_t>(info.si_status);
    }

    // Orphans of the program become our children. Returns false once there are none.
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

    // The control group, if there is one, ends all at once. A process that has left it, as root may, or was in none is ended by the list of
    // our children. Nobody else reaps these, so their numbers are not reused.
    void kill_children() {
        [[maybe_unused]] const ssize_t killed = killer_.is_open() ? ::write(killer_.get(), "1", 1) : 0;
        std::array<char, 4096> text{};
        const ssize_t got = ::pread(list_.get(), text.data(), text.size(), 0);
        const char* at = text.data();
        const char* const end = at + std::max<ssize_t>(got, 0);
        for (pid_t pid = 0; at < end; ++at) {
            const auto [stopped, error] = std::from_chars(at, end, pid);
            // A number that was cut off would be another process's; it is read whole once those before it have gone.
            if (error != std::errc{} || stopped == end) return;
            ::kill(pid, SIGKILL);
            at = stopped;
        }
    }

    // Each process whose parent dies becomes our child, until all have.
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
        // The loop notices if the launcher has ended.
        [[maybe_unused]] const Status said = ipc::say(lines_.socket, reply, ipc::WhenFull::kWait);
    }

    void say_started(int error) const {
        ipc::LauncherReply reply;
        reply.mutable_exec_started()->set_number(number_);
        reply.mutable_exec_started()->set_sys_errno(error);
        say(reply);
    }

    void say_ended(bool is_late) {
        is_ended_ = true;
        out_.pipe.reset();
        err_.pipe.reset();
        ipc::LauncherReply reply;
        ipc::ExecEnded& ended = *reply.mutable_exec_ended();
        ended.set_number(number_);
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

    const ipc::LauncherTable& table_;
    Lines lines_;
    std::uint64_t number_ = 0;
    std::uint32_t output_ = 0;  // how many bytes of each stream are kept
    std::int64_t end_ms_ = 0;
    std::int64_t start_ms_ = 0;  // deadline of the execution
    Stream out_{.pipe = {}, .place = 0};
    Stream err_{.pipe = {}, .place = 0};
    Stream fault_{.pipe = {}, .place = 0};
    UniqueFd signals_;
    UniqueFd list_;    // the list of our children
    UniqueFd killer_;  // kills the program's control group
    pid_t pid_ = -1;
    bool is_started_ = false;
    bool is_reaped_ = false;
    bool has_exited_ = false;
    bool is_ended_ = false;  // and that was reported
    bool is_alone_ = false;
    std::uint32_t status_ = 0;
    // Not filled: of what a program does not write no page is touched.
    std::unique_ptr<std::array<char, kPiece>> piece_ =
        std::make_unique_for_overwrite<std::array<char, kPiece>>();
};

// Closes all of the launcher's descriptors but these.
void close_others(const Lines& lines) {
    std::array kept{lines.socket.get(), lines.memory.get(), lines.order.get(), lines.group.get(),
                    lines.go.get()};
    std::ranges::sort(kept);
    unsigned next = STDERR_FILENO + 1;
    for (const int one : kept) {
        if (one < 0) continue;
        if (next < static_cast<unsigned>(one)) ::close_range(next, static_cast<unsigned>(one) - 1, 0);
        next = static_cast<unsigned>(one) + 1;
    }
    ::close_range(next, ~0U, 0);
}

}  // namespace

void supervise(const ipc::LauncherTable& table, const Lines& lines) {
    close_others(lines);
    Supervisor(table, lines).run();
    // Ending this process takes longer than all that is left to do for the host, so the host is served first.
    ::poll(nullptr, 0, kLingerMs);
    ::_exit(0);
}

}  // namespace sallyport::supervisor
