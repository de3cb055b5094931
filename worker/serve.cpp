#include "worker/serve.hpp"

#include <poll.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"
#include "worker/conversation.hpp"
#include "worker/host_channel.hpp"

namespace sallyport::worker {

namespace {

constexpr std::uint32_t kInput = EPOLLIN | EPOLLRDHUP | EPOLLET;

Status control(FdRef epoll, int operation, FdRef fd, epoll_event event) {
    if (::epoll_ctl(epoll.get(), operation, fd.get(), &event) != 0) return system_error("epoll_ctl");
    return {};
}

epoll_event event_of(std::uint32_t events, Watched which) {
    return {.events = events, .data = {.u32 = static_cast<std::uint32_t>(which)}};
}

Exit exit_for(const Error& error) {
    switch (error.code) {
        case Errc::kClosed:
            return Exit::kDone;
        case Errc::kInvalid:
        case Errc::kLimit:
            return Exit::kBrokerBroken;
        default:
            return Exit::kSetUpFailed;
    }
}

int milliseconds_until(Clock::time_point when) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(when - Clock::now());
    return left.count() < 0 ? 0 : static_cast<int>(left.count());
}

class Server {
public:
    Server(const Serving& serving, Ask& ask, ipc::Welcome::Channel kind)
        : serving_(serving),
          journal_(serving.arena.header()),
          conversation_({.commands = serving.commands, .ask = ask, .output = output_, .journal = journal_}),
          channel_(serving.channel, kind),
          buffer_(static_cast<char*>(std::malloc(kHostReadSize)), std::free) {
        SALLYPORT_CHECK(buffer_);
    }

    Exit run() {
        const Owed owed = journal_.take_over();
        conversation_.settle(owed);
        if (owed.skip_line) framing_.skip_line();
        for (;;) {
            if (const auto moved = move(); !moved) return exit_for(moved.error());
            if (const auto end = ended()) return *end;
            if (const auto waited = wait(); !waited) return exit_for(waited.error());
        }
    }

private:
    // Reads, answers and writes until no more is possible.
    Status move() {
        for (;;) {
            if (const auto taken = conversation_.take(framing_); !taken) return taken;
            note_input();
            channel_.write(output_, journal_);
            if (const auto gone_on = conversation_.go_on(); !gone_on) return gone_on;
            if (!framing_.has_input()) forget_input();
            if (conversation_.has_room()) {
                if (framing_.has_input()) continue;
                if (read()) continue;
            }
            if (output_.is_empty() || !channel_.is_writable()) return {};
        }
    }

    bool read() {
        if (!channel_.is_readable()) return false;
        const std::string_view bytes = channel_.read({buffer_.get(), kHostReadSize});
        if (bytes.empty()) return false;
        last_byte_ = bytes.back();
        // Until note_input() says otherwise, these bytes would be lost if we ended.
        journal_.input_stopped(stopped_inside());
        framing_.feed(bytes);
        unread_ = bytes.size();
        return true;
    }

    // It may be a password.
    void forget_input() { ::explicit_bzero(buffer_.get(), std::exchange(unread_, 0)); }

    [[nodiscard]] Stopped stopped_inside() const {
        return last_byte_ == '\n' ? Stopped::kAtLineEnd : Stopped::kInsideLine;
    }

    void note_input() {
        if (framing_.is_skipping()) {
            journal_.input_stopped(Stopped::kSkipping);
        } else if (framing_.has_input() || framing_.is_inside_value()) {
            journal_.input_stopped(stopped_inside());
        } else {
            journal_.input_stopped(Stopped::kBetweenValues);
        }
    }

    [[nodiscard]] std::optional<Exit> ended() const {
        switch (channel_.state()) {
            case HostState::kOpen:
                return std::nullopt;
            case HostState::kGone:
                return Exit::kDone;
            case HostState::kLost:
                return Exit::kChannelLost;
            case HostState::kEnded:
                break;
        }
        // Requests that came before a half-close are answered.
        const bool all_answered = conversation_.is_idle() && !framing_.has_input() && output_.is_empty();
        return all_answered ? std::optional(Exit::kDone) : std::nullopt;
    }

    // EPOLLOUT is enabled only while replies wait: otherwise every byte that the host reads would wake us.
    Status watch_output() {
        const bool wanted = !output_.is_empty();
        if (wanted == watches_output_) return {};
        watches_output_ = wanted;
        const auto events = wanted ? kInput | EPOLLOUT : kInput;
        return control(serving_.epoll, EPOLL_CTL_MOD, serving_.channel, event_of(events, Watched::kHost));
    }

    Status wait() {
        if (const auto watched = watch_output(); !watched) return watched;
        const auto until = conversation_.deadline();
        std::array<epoll_event, 2> events{};
        const auto wait_for = [&](int patience) {
            return ::epoll_pwait(serving_.epoll.get(), events.data(), events.size(), patience, nullptr);
        };
        int count = wait_for(until ? milliseconds_until(*until) : sandbox::kQuietMs);
        if (count == 0 && !until) {
            serving_.forget();
            count = wait_for(-1);
        }
        if (count < 0 && errno != EINTR) return system_error("epoll_pwait");
        Status done;
        for (int at = 0; done && at < count; ++at) {
            const epoll_event& event = events[static_cast<std::size_t>(at)];
            if (event.data.u32 == static_cast<std::uint32_t>(Watched::kHost)) {
                channel_.note(event.events);
            } else {
                done = conversation_.on_broker();
            }
        }
        return done;
    }

    const Serving& serving_;
    Output output_;
    Journal journal_;
    Conversation conversation_;
    HostChannel channel_;
    Framing framing_;
    // Only as much of it is touched as a host sends at once, also when it is freed.
    std::unique_ptr<char[], void (*)(void*)> buffer_;
    std::size_t unread_ = 0;  // bytes of it that the host has sent and that were not forgotten
    char last_byte_ = '\n';
    bool watches_output_ = false;
};

// The host is not read before this is done; its events wait.
Result<ipc::Welcome> introduce(const Serving& serving, Ask& ask) {
    if (const auto greeted = ask.greet(); !greeted) return std::unexpected(greeted.error());
    for (;;) {
        ipc::Welcome welcome;
        const auto got = ask.receive_welcome(welcome);
        if (!got) return std::unexpected(got.error());
        if (*got) return welcome;
        pollfd wanted{.fd = serving.broker.get(), .events = POLLIN, .revents = 0};
        if (::ppoll(&wanted, 1, nullptr, nullptr) < 0 && errno != EINTR) return system_error("ppoll");
    }
}

}  // namespace

Status watch(FdRef epoll, FdRef channel, FdRef broker) {
    if (const auto added = control(epoll, EPOLL_CTL_ADD, channel, event_of(kInput, Watched::kHost)); !added)
        return added;
    return control(epoll, EPOLL_CTL_ADD, broker, event_of(EPOLLIN, Watched::kBroker));
}

Exit serve(const Serving& serving) {
    Ask ask(serving.broker, serving.arena);
    const auto welcome = introduce(serving, ask);
    if (!welcome) return exit_for(welcome.error());
    serving.commands.welcome(*welcome);
    return Server(serving, ask, welcome->channel()).run();
}

}  // namespace sallyport::worker
