// The recorder executable: writes the audit log and does nothing else.
//
// sallyport-recorder MAX_SIZE KEEP LAST_LINES   started by the starter; descriptor 3 is the broker, 4 the state directory, 5 the
// ring, 6 the file of the latest time, 7 that of budgets
//
// Runs in:  recorder
// Input:    the starter's arguments; afterwards lines of a broker that may have been taken over
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>

#include "broker/recorder/recorder.hpp"
#include "sandbox/lockdown.hpp"

namespace {

using namespace sallyport;

constexpr int kBroker = 3;
constexpr int kStateDirectory = 4;
constexpr int kRing = 5;
constexpr int kClock = sandbox::kRecordersClock;
constexpr int kBudgets = sandbox::kRecordersBudgets;

// Signals do not end it: it ends once the broker has ended and everything is written. A file size limit is an error.
void set_signals() {
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGXFSZ, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1,
                             SIGUSR2, SIGQUIT, SIGCHLD})
        std::signal(number, SIG_IGN);
}

template <typename Number>
bool parse(std::string_view text, Number& number) {
    const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
    return error == std::errc{} && end == text.end();
}

// Up to READY, errors go to standard error. They are printed before `broker` is closed, since the broker then reports its own.
Result<recorder::Recorder> start(UniqueFd& broker, const recorder::Rotation& rotation,
                                 recorder::LastLines last_lines) {
    if (::close_range(kBudgets + 1, ~0U, 0) != 0) return system_error("close_range");
    const UniqueFd directory(kStateDirectory);
    ipc::Ring ring = TRY(ipc::Ring::map(UniqueFd(kRing)));
    recorder::LatestTime time = TRY(recorder::LatestTime::open(UniqueFd(kClock)));
    recorder::KeptBudgets budgets = TRY(recorder::KeptBudgets::open(UniqueFd(kBudgets)));
    recorder::Log log = TRY(recorder::Log::open(directory, rotation));
    ring.words().is_waiting = log.is_ours() ? 0 : 1;
    if (!log.is_ours())
        std::fputs(
            "sallyport-recorder: the recorder of an earlier agent still has lines to write (is the disk "
            "full?), or "
            "somebody who could open audit.lock has locked it: `fuser -v audit.lock` in the state directory "
            "says "
            "who; nothing is recorded until then\n",
            stderr);
    TRY(sandbox::lockdown_recorder(directory));
    if (::send(broker.get(), "r", 1, MSG_NOSIGNAL) != 1) return system_error("send");
    return recorder::Recorder(std::move(broker), std::move(ring),
                              {std::move(log), std::move(time), std::move(budgets)}, last_lines);
}

}  // namespace

int main(int argc, char** argv) {
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    recorder::Rotation rotation;
    if (argc != 4 || !parse(arguments[1], rotation.max_size) || !parse(arguments[2], rotation.keep)) return 2;
    set_signals();
    const bool waits = arguments[3] != std::string_view("let-go");
    UniqueFd broker(kBroker);
    auto recorder = start(broker, rotation, waits ? recorder::LastLines::kWait : recorder::LastLines::kLetGo);
    if (recorder) {
        sandbox::forget_startup_code();
        return recorder->run();
    }
    std::fprintf(stderr, "sallyport-recorder: %s%s%s\n", recorder.error().what,
                 recorder.error().sys_errno == 0 ? "" : ": ",
                 recorder.error().sys_errno == 0 ? "" : std::strerror(recorder.error().sys_errno));
    return 1;
}
