// The state of the loop, and the functions that its turns share.
// Runs in:  broker, after lockdown()
#pragma once

#include <poll.h>

#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "broker/serve/dispatch.hpp"
#include "broker/serve/freezing.hpp"
#include "broker/serve/guard_link.hpp"
#include "broker/serve/serve.hpp"

namespace sallyport::broker {

inline constexpr int kEndingMs = 500;  // how long a worker may take to end after its socket is closed
inline constexpr int kAloneMs = 2000;  // how long a worker may live after its host has gone
inline constexpr std::size_t kAloneFrames =
    512;  // how many frames it may send meanwhile: the largest write has 256 parts

enum class Stage : std::uint8_t {
    kNoHost,   // a listening channel without a connection
    kPause,    // a worker is to be started at `due_ns`
    kRunning,  // a worker was started
    kEnding,   // its socket is closed; it is killed if its end is not reported by `due_ns`
};

struct Loop {
    Service& service;
    UniqueFd connection;            // of a listening channel
    std::vector<Accepted> waiting;  // until this connection ends
    Wire wire;
    std::vector<pollfd> wanted;  // reused for each wait
    Worker worker;
    Stage stage = Stage::kNoHost;
    std::uint64_t next_number = 1;
    std::int64_t started_ns = 0;
    std::int64_t due_ns = 0;
    bool had_violation = false;
    bool was_killed = false;                     // we killed the worker
    std::optional<std::int64_t> alone_until_ns;  // the host has gone: when its worker is killed
    std::size_t alone_frames = 0;                // frames that the worker has sent since
    int channel_lost = 0;
    Backoff backoff;
    std::optional<int> exit_status;
    std::optional<int> leaving;  // the exit status once everything is thawed, or at leave_ns
    std::int64_t leave_ns = 0;
};

/// Starts the worker of a channel that is always there.
void begin(Loop& loop);

/// Waits for a frame, a connection or a deadline, and handles one.
void turn(Loop& loop);

/// After the last turn: writes the lines of the requests still under way.
void end(Loop& loop);

/// Ends the loop once everything is thawed. The reason goes to the audit log.
void stop(Loop& loop, int exit_status, const char* reason, int sys_errno = 0);

/// For actions on behalf of the current worker, if there is one.
Context context_of(Loop& loop);

/// Closes the worker's socket and ends the requests that end with it. The nursery will report the worker's end.
void close_worker(Loop& loop);
/// Has the worker killed. Its end is reported like any other.
void kill(Loop& loop);
void end_worker(Loop& loop, const Violation& violation);
/// The same for a worker that lives on after its host has gone. This is not a violation: it may be slow.
void end_alone(Loop& loop);

/// Tells the launcher what to do next, if anything. A power order waits until its line is on the disk.
void begin_launch(Loop& loop);
/// The line of a power order has not reached the disk in time: ends or begins the order, as the policy says.
void begin_late_launch(Loop& loop);

void hear_guard_report(Loop& loop);
void hear_launcher_report(Loop& loop);

}  // namespace sallyport::broker
