// The launcher alone, asked as the broker asks it, or as one that was taken over would.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <optional>
#include <string>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/launcher.pb.h"
#include "tests/support/process.hpp"

namespace sallyport::test {

class Launcher {
public:
    /// `before` happens in its process, before it is executed.
    explicit Launcher(const ipc::LauncherTable& table, const std::function<void()>& before = [] {}) {
        auto sockets = ipc::socket_pair();
        const int theirs = sockets->second.get();
        child_.emplace(
            Program{.words = {std::string(std::getenv("SALLYPORT_BUILD_ROOT")) + "/broker/launcher/launcher"},
                    .output = "/dev/null",
                    .before_exec = [theirs, before] {
                        if (::dup2(theirs, 3) < 0) ::_exit(99);
                        before();
                    }});
        socket_ = std::move(sockets->first);
        tell(table);
    }
    void tell(const google::protobuf::MessageLite& message) const {
        std::string bytes;
        ipc::encode(message, bytes);
        send(bytes);
    }
    void send(std::string_view bytes) const { ASSERT_TRUE(ipc::send(socket_, bytes, ipc::WhenFull::kWait)); }
    // Whether a frame comes before the end of file.
    bool hear(ipc::LauncherReply& reply) const {
        ipc::Frame frame;
        std::string scratch;
        if (!wait_for(socket_.get(), POLLIN, Deadline())) return false;
        const auto got = ipc::receive(socket_, frame);
        return got && *got && ipc::decode(frame.bytes, reply, scratch).has_value();
    }
    bool is_ready() const {
        ipc::LauncherReply reply;
        return hear(reply) && reply.has_launcher_ready();
    }
    ipc::Outcome ask(const ipc::LauncherRequest& request) const {
        tell(request);
        ipc::LauncherReply reply;
        EXPECT_TRUE(hear(reply) && reply.has_outcome());
        return reply.outcome();
    }
    ipc::Outcome hooks(ipc::LauncherRequest::Hooks when) const {
        ipc::LauncherRequest request;
        request.set_hooks(when);
        return ask(request);
    }
    ipc::Outcome row(std::uint32_t number) const {
        ipc::LauncherRequest request;
        request.set_row(number);
        return ask(request);
    }
    std::optional<Ending> close() {
        socket_.reset();
        return child_->wait();
    }
    Child& child() { return *child_; }

private:
    UniqueFd socket_;
    std::optional<Child> child_;
};

}  // namespace sallyport::test
