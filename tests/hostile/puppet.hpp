// A test's hold on a taken-over worker.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ipc/broker.pb.h"
#include "tests/hostile/puppet_strings.hpp"
#include "tests/support/agent.hpp"

namespace sallyport::test {

/// A build tree whose broker and policy tool are the real ones and whose worker is the puppet.
class PuppetTree {
public:
    PuppetTree();
    [[nodiscard]] std::string root() const { return scratch_.path(); }

private:
    Scratch scratch_;
};

class Puppet {
public:
    using Arguments = std::array<std::uint64_t, 6>;

    /// Connects to the agent and waits for its worker's greeting.
    explicit Puppet(const Agent& agent);

    void send(std::string_view frame);
    /// Has the worker make a system call. It may not live to tell.
    void call(std::uint64_t number, const Arguments& arguments);
    /// The same for one that it survives: its errno.
    int errno_of(std::uint64_t number, const Arguments& arguments);
    /// Asks for so many flushes without waiting for a reply; from request 1 on.
    void flood(std::uint32_t count);
    void write_arena(std::uint32_t offset, std::string_view bytes);
    /// Has the worker write these two bytes there in turn, so many times.
    void flip_arena(std::uint32_t offset, std::uint32_t count, std::string_view bytes);
    std::string read_arena(std::uint32_t offset, std::uint32_t size);
    void mute() { pull(Pull::kMute, ""); }
    void exit(char status) { pull(Pull::kExit, std::string_view(&status, 1)); }
    void crash() { pull(Pull::kCrash, ""); }
    void ignore_host() { pull(Pull::kIgnoreHost, ""); }
    void talk_alone() { pull(Pull::kTalkAlone, ""); }
    void close_socket() { pull(Pull::kCloseSocket, ""); }

    /// The host's end: it goes away, or only sends no more.
    void hang_up() { host_.reset(); }
    void half_close() { host_->half_close(); }

    /// The broker's next reply. Throws if none comes, or if a successor of the worker greets instead.
    ipc::Reply hear();
    /// Sends a frame and hears its reply.
    ipc::Reply ask(std::string_view frame);
    /// Whether this worker was ended and a successor greets, whatever replies come before that.
    bool is_replaced();
    [[nodiscard]] const ipc::Reply& welcome() const { return welcome_; }

private:
    struct Message {
        Twitch kind;
        std::string payload;
    };
    void pull(Pull kind, std::string_view payload);
    Message next();
    std::optional<HostClient> host_;
    ipc::Reply welcome_;
};

}  // namespace sallyport::test
