// The state of the loop, and what its turns have in common.
// Runs in:  broker, after lockdown()
#pragma once

#include <poll.h>

#include <optional>
#include <vector>

#include "broker/serve/dispatch.hpp"
#include "broker/serve/freezing.hpp"
#include "broker/serve/guard_link.hpp"
#include "broker/serve/serve.hpp"

namespace sallyport::broker {

inline constexpr std::int64_t kNsPerMs = 1'000'000;
inline constexpr int kEndingMs = 500;  // so long a worker may take to end after its socket is closed
inline constexpr int kAloneMs = 2000;  // and so long after its host has gone,
inline constexpr std::size_t kAloneFrames = 512;  // and say so much: the largest write has 256 parts

enum class Stage : std::uint8_t {
    kNoHost,   // a listening channel without a connection
    kPause,    // a worker is due at `due_ns`
    kRunning,  // a worker was started
    kEnding,   // it has closed its socket, or was; if its end is not reported by `due_ns`, it is killed
};

struct Loop {
    Service& service;
    UniqueFd connection;            // of a listening channel
    std::vector<Accepted> waiting;  // for this connection to end
    Wire wire;
    std::vector<pollfd> wanted;  // used again for each wait
    Worker worker;
    Stage stage = Stage::kNoHost;
    std::uint64_t next_number = 1;
    std::int64_t started_ns = 0;
    std::int64_t due_ns = 0;
    bool had_violation = false;
    bool was_killed = false;                     // the worker, by us
    std::optional<std::int64_t> alone_until_ns;  // since its host has gone: when it is killed
    std::size_t alone_frames = 0;                // and what it has said since
    int channel_lost = 0;
    Backoff backoff;
    std::optional<int> exit_status;
    std::optional<int> leaving;  // the exit status once all is thawed, or at leave_ns
    std::int64_t leave_ns = 0;
};

/// Starts the worker of a channel that is always there.
void begin(Loop& loop);

/// Waits until somebody has something to say or something is due, and does that one thing.
void turn(Loop& loop);

/// After the last turn: writes the lines of the requests that are still under way.
void end(Loop& loop);

/// Ends the loop, once everything is thawed. The reason goes to the audit log.
void stop(Loop& loop, int exit_status, const char* reason, int sys_errno = 0);

/// For what is done for the present worker, if there is one.
Context context_of(Loop& loop);

/// Closes the worker's socket and ends what goes on only with it; waits for the report of its end.
void close_worker(Loop& loop);
/// Has the worker killed; its end is reported as any other.
void kill(Loop& loop);
void end_worker(Loop& loop, const Violation& violation);
/// The same for a worker that goes on after its host has gone, which is no violation: it may be slow.
void end_alone(Loop& loop);

/// Tells the launcher what it is to do next, if anything. A power order waits until its line is on the disk.
void begin_launch(Loop& loop);
/// Ends or begins a power order whose line is not on the disk in time, as the policy says.
void begin_late_launch(Loop& loop);

void hear_guard_report(Loop& loop);
void hear_launcher_report(Loop& loop);

}  // namespace sallyport::broker
