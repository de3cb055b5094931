// Runs in:  starter, and files before lockdown()
#include "broker/files/survey.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "base/clock.hpp"
#include "ipc/handover.hpp"
#include "ipc/limits.hpp"

namespace sallyport::files {

namespace {

using Answers = std::vector<std::optional<Answer>>;
using Ask = std::function<Answer(std::size_t)>;

constexpr int kSocket = 3;
constexpr int kAtOnce = 32;                        // children at work or hanging
constexpr std::int64_t kPatienceNs = 500'000'000;  // for the child that looks at all paths

std::uint32_t number_in(std::string_view frame) {
    std::uint32_t number = ~0U;
    if (frame.size() >= sizeof number) std::memcpy(&number, frame.data(), sizeof number);
    return number;
}

void die_with(pid_t parent) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) ::_exit(1);
}

Status say(std::size_t number, const Answer& answer) {
    const FdRef socket(kSocket);
    const auto head = static_cast<std::uint32_t>(number);
    std::string bytes(sizeof head, '\0');
    std::memcpy(bytes.data(), &head, sizeof head);
    bytes += answer.bytes;
    if (!answer.fd.is_open()) return ipc::send(socket, bytes, ipc::WhenFull::kWait);
    const FdRef fd(answer.fd);
    for (;;) {
        const Status given = ipc::give(socket, bytes, std::span(&fd, 1));
        if (given || given.error().code != Errc::kLimit) return given;
        pollfd wanted{.fd = kSocket, .events = POLLOUT, .revents = 0};
        if (::poll(&wanted, 1, -1) < 0) return system_error("poll");
    }
}

void look(std::span<const std::size_t> which, const Ask& ask) {
    for (const std::size_t at : which)
        if (!say(at, ask(at))) ::_exit(1);
}

// Forks the children, and looks at nothing itself, so that it can always be killed. Children that hang are orphaned, so not ours.
[[noreturn]] void run_surveyor(const std::vector<std::span<const std::size_t>>& parts, const Ask& ask) {
    const pid_t self = ::getpid();
    int running = 0;
    for (const auto part : parts) {
        if (running == kAtOnce && ::waitpid(-1, nullptr, 0) > 0) --running;
        pid_t pid = ::fork();
        // A child has ended, so there is room for another.
        while (pid < 0 && ::waitpid(-1, nullptr, 0) > 0) {
            --running;
            pid = ::fork();
        }
        if (pid < 0) ::_exit(1);
        ++running;
        if (pid > 0) continue;
        die_with(self);
        look(part, ask);
        ::_exit(0);
    }
    while (::waitpid(-1, nullptr, 0) > 0) {
    }
    ::_exit(0);
}

// It gets none of our descriptors: a child that hangs would hold a lock or keep a socket open.
[[noreturn]] void become_surveyor(pid_t parent, FdRef socket,
                                  const std::vector<std::span<const std::size_t>>& parts, const Ask& ask) {
    std::signal(SIGCHLD, SIG_DFL);
    die_with(parent);
    if (socket.get() != kSocket && ::dup2(socket.get(), kSocket) < 0) ::_exit(1);
    if (::close_range(kSocket + 1, ~0U, 0) != 0) ::_exit(1);
    run_surveyor(parts, ask);
}

// Reads answers until all are there, until `end`, or until none arrives for `patience_ns`.
Status collect(FdRef socket, Answers& answers, std::int64_t end, std::int64_t patience_ns) {
    std::size_t open = 0;
    for (const auto& answer : answers) open += answer ? 0U : 1U;
    ipc::Frame frame;
    std::vector<UniqueFd> fds;
    while (open > 0) {
        const std::int64_t left = std::min(end - boottime_ns(), patience_ns);
        pollfd wanted{.fd = socket.get(), .events = POLLIN, .revents = 0};
        const int ready = left <= 0 ? 0 : ::poll(&wanted, 1, static_cast<int>(left / 1'000'000) + 1);
        if (ready < 0 && errno != EINTR) return system_error("poll");
        if (ready == 0) return {};
        const auto taken = ipc::take(socket, frame, fds);
        if (!taken) return taken.error().code == Errc::kClosed ? Status() : std::unexpected(taken.error());
        const std::uint32_t number = *taken ? number_in(frame.bytes) : ~0U;
        if (number >= answers.size() || answers[number]) continue;
        answers[number] = Answer{.bytes = std::string(frame.bytes.substr(sizeof number)),
                                 .fd = fds.empty() ? UniqueFd() : std::move(fds[0])};
        --open;
    }
    return {};
}

struct Round {
    std::vector<std::span<const std::size_t>> parts;
    std::int64_t end;
    std::int64_t patience_ns;
};

Status hold(const Round& round, Answers& answers, const Ask& ask) {
    auto [ours, theirs] = TRY(ipc::socket_pair());
    const pid_t parent = ::getpid();
    const pid_t surveyor = ::fork();
    if (surveyor < 0) return system_error("fork");
    if (surveyor == 0) become_surveyor(parent, theirs, round.parts, ask);
    theirs.reset();
    const Status collected = collect(ours, answers, round.end, round.patience_ns);
    ::kill(surveyor, SIGKILL);
    if (::waitpid(surveyor, nullptr, 0) != surveyor) return system_error("waitpid");
    return collected;
}

std::vector<std::size_t> unanswered(const Answers& answers) {
    std::vector<std::size_t> which;
    for (std::size_t at = 0; at < answers.size(); ++at)
        if (!answers[at]) which.push_back(at);
    return which;
}

}  // namespace

Result<Answers> survey(std::size_t count, const Ask& ask) {
    Answers answers(count);
    const std::int64_t end = boottime_ns() + kFileTimeoutNs;
    const std::vector<std::size_t> all = unanswered(answers);
    if (!all.empty()) TRY(hold({{all}, end, kPatienceNs}, answers, ask));
    const std::vector<std::size_t> late = unanswered(answers);
    std::vector<std::span<const std::size_t>> each;
    for (const std::size_t& one : late) each.emplace_back(&one, 1);
    if (!late.empty()) TRY(hold({std::move(each), end, kFileTimeoutNs}, answers, ask));
    return answers;
}

}  // namespace sallyport::files
