// A worker's loop between two scripted peers: the test is the host on one socket and the broker on the other.
#pragma once

#include <optional>
#include <string>
#include <thread>

#include "ipc/arena.hpp"
#include "ipc/broker.pb.h"
#include "ipc/channel.hpp"
#include "schema/commands.hpp"
#include "worker/serve.hpp"

namespace sallyport::worker::test {

inline constexpr int kPatienceMs = 20'000;

class Served {
public:
    /// Starts the loop and greets it.
    explicit Served(ipc::Welcome::Channel channel = ipc::Welcome::STREAM, CommandSet disabled = {});
    ~Served();
    Served(const Served&) = delete;
    Served& operator=(const Served&) = delete;

    // The host.
    void say(std::string_view bytes);
    /// The next line, without its line end; "(no line)" if none comes.
    std::string line();
    /// Whatever comes until `size` bytes are there.
    std::string bytes(std::size_t size);
    [[nodiscard]] bool host_has_input(int wait_ms) const;
    void half_close();
    void close_host() { host_.reset(); }
    [[nodiscard]] int host_fd() const { return host_.get(); }

    // The broker.
    ipc::Request asked();
    [[nodiscard]] bool is_asked(int wait_ms) const;
    void reply(const ipc::Reply& reply);
    void send_frame(std::string_view frame);
    void close_broker() { broker_.reset(); }
    [[nodiscard]] const ipc::Arena& arena() const { return arena_; }

    /// Waits for the end of the loop.
    Exit end();
    /// Ends the loop by closing the broker's end, and starts another on the same host channel and arena.
    void restart();

private:
    void start();
    void greet();

    ipc::Welcome welcome_;
    ipc::Arena arena_;
    Commands commands_;
    UniqueFd host_;
    UniqueFd worker_host_;
    UniqueFd broker_;
    UniqueFd worker_broker_;
    UniqueFd epoll_;
    std::string received_;
    std::optional<Exit> exit_;
    std::thread thread_;
};

/// Requests as a host writes them.
std::string request(std::string_view command, std::string_view arguments = "{}");
inline std::string ping() {
    return request("guest-ping");
}
inline std::string sync(int id) {
    return request("guest-sync", "{\"id\":" + std::to_string(id) + "}");
}
inline std::string open_file() {
    return request("guest-file-open", R"({"path":"/a"})");
}

inline const std::string kPong = "{\"return\": {}}";
inline const std::string kBusy =
    R"({"error": {"class": "GenericError", "desc": "the agent is busy with an earlier request"}})";
inline const std::string kGivenUp =
    R"({"error": {"class": "GenericError", "desc": "the agent has given up waiting for this request"}})";
inline const std::string kRestarted =
    R"({"error": {"class": "GenericError", "desc": "the agent was restarted while this request was under way"}})";

/// Replies as the broker writes them.
ipc::Reply opened(const ipc::Request& request, std::int64_t handle);

}  // namespace sallyport::worker::test
