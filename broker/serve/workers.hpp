// The broker's end of the conversation with the nursery, which forks, kills and reaps workers; and what the starter tells the inspector.
// Runs in:  broker
// Input:    frames of the nursery, which never hold a byte of the host; they are checked all the same
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/arena.hpp"
#include "ipc/inspector.pb.h"
#include "ipc/nursery.pb.h"

namespace sallyport::broker {

/// A started worker, and our end of its socket.
struct Worker {
    std::uint64_t number = 0;
    UniqueFd socket;
};

/// When the next worker follows one that ended badly: at once the first time, then after a growing pause.
class Backoff {
public:
    /// The pause in milliseconds before the next start, after a worker that lived for `lived_ns`.
    int after(std::int64_t lived_ns);

private:
    unsigned failures_ = 0;
};

/// Has the nursery fork worker `number` for the host connection `host`. Errors: kSystem, kClosed.
Result<Worker> start_worker(FdRef nursery, std::uint64_t number, FdRef host, const ipc::Arena& arena);

/// Has the nursery kill a worker. Its end is reported like any other. Errors: kSystem, kClosed.
Status kill_worker(FdRef nursery, std::uint64_t number);

/// The nursery's next frame, if there is one. Errors: kClosed (it is gone), kInvalid (unexpected frame), kSystem.
Result<std::optional<ipc::NurseryReply>> hear_nursery(FdRef nursery);

/// Sends the inspector its part of the policy, before it becomes ready. Errors: kClosed (it is gone), kSystem.
Status tell_inspector(FdRef inspector, const ipc::ReplyRules& rules);

/// Waits at most `deadline_ms` until `fd` is readable. Errors: kLimit when the time is over, kSystem.
Status wait_readable(FdRef fd, int deadline_ms);

}  // namespace sallyport::broker
