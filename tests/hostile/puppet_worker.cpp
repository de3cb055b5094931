// A worker that was taken over: after the real lockdown and an honest greeting it does whatever the host
// tells it.
//
// Stands in place of the worker executable, so that the broker which it attacks is the real one, confined and
// started in the usual way. Its nursery is the real one as well.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"
#include "ipc/arena.hpp"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"
#include "sandbox/syscalls.hpp"
#include "tests/hostile/puppet_strings.hpp"
#include "tests/hostile/wire.hpp"
#include "worker/nursery.hpp"

namespace sallyport::test {
namespace {

constexpr int kHost = worker::kWorkerChannel;
constexpr int kBroker = worker::kWorkerBroker;
constexpr std::size_t kHeader = 5;  // length and kind
constexpr int kFailure = 90;

void wait_until(int fd, short events) {
    pollfd wanted{.fd = fd, .events = events, .revents = 0};
    ::ppoll(&wanted, 1, nullptr, nullptr);
}

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
    std::uint32_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

void tell(Twitch kind, std::string_view payload) {
    const auto size = static_cast<std::uint32_t>(payload.size());
    std::string message(kHeader, static_cast<char>(kind));
    std::memcpy(message.data(), &size, sizeof size);
    message += payload;
    for (std::string_view rest = message; !rest.empty();) {
        const ssize_t sent = ::write(kHost, rest.data(), rest.size());
        if (sent > 0)
            rest.remove_prefix(static_cast<std::size_t>(sent));
        else if (errno != EAGAIN)
            ::_exit(0);
        else
            wait_until(kHost, POLLOUT);
    }
}

/// One frame as it is. Once the broker has gone there is nobody to attack.
void send_frame(std::string_view bytes) {
    while (::send(kBroker, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno != EAGAIN) return;
        wait_until(kBroker, POLLOUT);
    }
}

enum class Taken : std::uint8_t { kFrame, kNothing, kEnd };

Taken take_frame(std::string& bytes) {
    bytes.resize(2 * kMaxFrame);
    const ssize_t got = ::recv(kBroker, bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    if (got < 0 && errno == EAGAIN) return Taken::kNothing;
    return got > 0 ? Taken::kFrame : Taken::kEnd;
}

class Puppet {
public:
    explicit Puppet(ipc::Arena arena) : arena_(std::move(arena)) {}

    void dance() {
        send_frame(wire::hello());
        std::string frame;
        for (Taken taken = Taken::kNothing; taken != Taken::kFrame; taken = take_frame(frame)) {
            if (taken == Taken::kEnd) ::_exit(0);  // only a rehearsal
            wait_until(kBroker, POLLIN);
        }
        tell(Twitch::kWelcome, frame);
        for (;;) turn(frame);
    }

private:
    void turn(std::string& frame) {
        std::array wanted{pollfd{.fd = is_ignoring_ ? -1 : kHost, .events = POLLIN, .revents = 0},
                          pollfd{.fd = deaf_ ? -1 : kBroker, .events = POLLIN, .revents = 0}};
        ::ppoll(wanted.data(), wanted.size(), nullptr, nullptr);
        if (wanted[1].revents != 0) {
            const Taken taken = take_frame(frame);
            if (taken == Taken::kFrame) tell(Twitch::kReply, frame);
            // The broker has closed the socket: wait to be killed, as an attacker would.
            deaf_ = deaf_ || taken == Taken::kEnd;
        }
        if (wanted[0].revents != 0) listen();
    }

    void listen() {
        std::array<char, 65536> buffer;
        const ssize_t got = ::read(kHost, buffer.data(), buffer.size());
        if (got == 0) ::_exit(0);
        if (got < 0) return;
        heard_.append(buffer.data(), static_cast<std::size_t>(got));
        while (heard_.size() >= kHeader && heard_.size() >= kHeader + number_at(heard_, 0)) {
            const std::string message = heard_.substr(4, 1 + number_at(heard_, 0));
            heard_.erase(0, 4 + message.size());
            obey(static_cast<Pull>(message[0]), std::string_view(message).substr(1));
        }
    }

    void obey(Pull pull, std::string_view payload) {
        switch (pull) {
            case Pull::kSend:
                return send_frame(payload);
            case Pull::kCall:
                return call(payload);
            case Pull::kFlood:
                return flood(number_at(payload, 0));
            case Pull::kWriteArena:
                return write_arena(number_at(payload, 0), payload.substr(4));
            case Pull::kFlipArena:
                return flip_arena(number_at(payload, 0), number_at(payload, 4), payload.substr(8));
            case Pull::kReadArena:
                return read_arena(number_at(payload, 0), number_at(payload, 4));
            case Pull::kMute:
                deaf_ = true;
                return;
            case Pull::kExit:
                ::_exit(payload[0]);
            case Pull::kCrash:
                __builtin_trap();
            case Pull::kIgnoreHost:
                is_ignoring_ = true;
                return;
            case Pull::kTalkAlone:
                talk_alone();
            case Pull::kCloseSocket:
                ::close(kBroker);
                deaf_ = true;
                return;
        }
    }

    static void flood(std::uint32_t count) {
        for (std::uint32_t seq = 1; seq <= count; ++seq) send_frame(wire::file_flush(seq, 1));
    }

    [[noreturn]] static void talk_alone() {
        wait_until(kHost, 0);  // a hang-up is told unasked
        std::string frame;
        for (std::uint64_t seq = 1;; ++seq) {
            send_frame(wire::file_flush(seq, 1));
            wait_until(kBroker, POLLIN);
            take_frame(frame);
        }
    }

    static void call(std::string_view payload) {
        std::array<std::uint64_t, 7> words{};
        std::memcpy(words.data(), payload.data(), std::min(payload.size(), sizeof words));
        const auto [number, a, b, c, d, e, f] = words;
        errno = 0;
        ::syscall(static_cast<long>(number), a, b, c, d, e, f);
        const auto error = static_cast<std::uint32_t>(errno);
        std::string text(sizeof error, '\0');
        std::memcpy(text.data(), &error, sizeof error);
        tell(Twitch::kCalled, text);
    }

    void write_arena(std::uint32_t offset, std::string_view bytes) {
        const auto memory = arena_.extent(offset, static_cast<std::uint32_t>(bytes.size()));
        if (!memory) ::_exit(kFailure);
        std::memcpy(memory->data(), bytes.data(), bytes.size());
    }

    void flip_arena(std::uint32_t offset, std::uint32_t count, std::string_view bytes) {
        const auto memory = arena_.extent(offset, 1);
        if (!memory) ::_exit(kFailure);
        auto* const place = reinterpret_cast<volatile char*>(memory->data());
        for (std::uint32_t at = 0; at < count; ++at) *place = bytes[at % bytes.size()];
    }

    void read_arena(std::uint32_t offset, std::uint32_t size) {
        const auto memory = arena_.extent(offset, size);
        if (!memory) ::_exit(kFailure);
        tell(Twitch::kArena, {reinterpret_cast<const char*>(memory->data()), memory->size()});
    }

    ipc::Arena arena_;
    std::string heard_;
    bool deaf_ = false;
    bool is_ignoring_ = false;
};

int run_worker(const sandbox::Filter& filter) {
    auto arena = ipc::Arena::map(UniqueFd(worker::kWorkerArena));
    if (!arena) return kFailure;
    if (!sandbox::lockdown_worker(filter)) return kFailure;
    Puppet(*std::move(arena)).dance();
    return 0;
}

int fork_workers(char* title) {
    const auto filter = sandbox::Filter::from_file(FdRef(worker::kNurseryFilter));
    if (!filter || !sandbox::hide_again()) return kFailure;
    return worker::run_nursery(title, [&] { return run_worker(*filter); });
}

}  // namespace
}  // namespace sallyport::test

int main(int argc, char** argv) {
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    if (argc == 1) return sallyport::test::fork_workers(argv[0]);
    std::signal(SIGPIPE, SIG_IGN);
    return sallyport::worker::confine_nursery(static_cast<uid_t>(std::stoul(arguments[2])),
                                              static_cast<gid_t>(std::stoul(arguments[3])));
}
