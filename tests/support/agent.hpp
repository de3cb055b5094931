// A running agent with a policy, a state folder and a socket of its own.
#pragma once

#include <array>
#include <boost/json/object.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/host_client.hpp"
#include "tests/support/process.hpp"
#include "tests/support/scratch.hpp"

namespace sallyport::test {

/// The build tree that is tested.
std::string build_root();

/// What an agent consists of, below a build tree.
inline constexpr std::array kPrograms{"broker/sallyportd",
                                      "broker/broker",
                                      "broker/guard/guard",
                                      "broker/launcher/launcher",
                                      "broker/recorder/recorder",
                                      "broker/files/files",
                                      "inspector/inspector",
                                      "policy/tool/verbs/sallyport-policy",
                                      "worker/worker"};

/// Copies them from `build` to the same places below `scratch`'s `folder`; in place of `other` if that is named, `what`.
struct InPlaceOf {
    std::string other = {};
    std::string what = {};
};
void copy_programs(const std::string& build, const Scratch& scratch, const std::string& folder = "",
                   const InPlaceOf& instead = {});

struct AgentOptions {
    std::string policy = "schema = 1\n";                                  // $D stands for the scratch folder
    std::function<void(const Scratch&)> prepare = [](const Scratch&) {};  // before the start
    std::vector<std::string> words = {};                                  // further options
    std::vector<std::string> environment = {};                            // further NAME=VALUE
    std::optional<uid_t> user = {};                                       // an ordinary user to run as
    std::string root = build_root();            // where broker/, worker/ and policy/ are
    bool own_channel = true;                    // unix-listen on socket()
    std::function<void()> before_exec = [] {};  // in the agent's process
};

class Agent {
public:
    /// Starts the agent; serving() tells whether it got as far as READY.
    explicit Agent(AgentOptions options);

    /// Whether READY came; waits for that or for the end.
    bool is_serving();
    /// Notifications of the service so far, in order of arrival, each "KEY=VALUE" line on its own.
    std::vector<std::string> notifications();
    /// Whether a notification that starts with `start` comes in time.
    bool is_notified(std::string_view start, milliseconds patience = kPatience);

    [[nodiscard]] std::string socket() const { return scratch_.path("host.sock"); }
    [[nodiscard]] std::string state() const { return scratch_.path("state"); }
    /// The log's path, once the recorder has written all that it was given so far.
    [[nodiscard]] std::string audit_file() const;
    [[nodiscard]] std::string messages() const { return read_file(scratch_.path("messages")); }
    [[nodiscard]] const Scratch& scratch() const { return scratch_; }
    [[nodiscard]] HostClient connect() const { return HostClient(socket()); }

    [[nodiscard]] Child& broker() { return *broker_; }
    [[nodiscard]] pid_t nursery() const;
    /// The worker that serves now; waits for one.
    [[nodiscard]] pid_t worker() const;
    /// The same, once it has nothing to do: what it wrote is also in its journal.
    [[nodiscard]] pid_t idle_worker() const;
    [[nodiscard]] std::vector<pid_t> workers() const;
    /// Broker, nursery, workers.
    [[nodiscard]] std::vector<pid_t> processes() const;

    /// SIGTERM; how the broker ended. Fails the test if a process of it is left.
    Ending stop();
    /// Starts again on the same state and policy after stop().
    void restart();

    [[nodiscard]] std::vector<boost::json::object> audit() const;
    /// Records whose `member` is `text`.
    [[nodiscard]] std::size_t count_audit(std::string_view member, std::string_view text) const;

private:
    void start();
    void take_notifications();
    AgentOptions options_;
    Scratch scratch_;
    UniqueFd notify_;
    std::string notified_;
    std::optional<Child> broker_;
};

}  // namespace sallyport::test
