// The worker's loop: waits for the host, the broker or a deadline, and continues.
// Runs in:  worker, after lockdown_worker()
#pragma once

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/arena.hpp"
#include "worker/commands.hpp"

namespace sallyport::worker {

/// How a worker ends. The broker decides by it whether to start another.
enum class Exit : int {
    kDone = 0,  // host or broker is gone
    kSetUpFailed = 1,
    kLockdownFailed = 2,
    kChannelLost = 3,
    kBrokerBroken = 4,  // an invalid reply
};

/// The descriptors in `epoll`, identified by these numbers.
enum class Watched : std::uint32_t { kHost, kBroker };

/// Registers both, before lockdown. The channel is watched with EPOLLET: a virtio-serial port without a host reports EPOLLHUP
/// permanently, which must not wake us. Errors: kSystem.
Status watch(FdRef epoll, FdRef channel, FdRef broker);

struct Serving {
    FdRef epoll;
    FdRef channel;
    FdRef broker;
    const ipc::Arena& arena;
    Commands& commands;
    void (*forget)() = [] {};  // called after a quiet while
};

/// Sends Hello to the broker, waits for Welcome, then serves the host until one of them is gone.
Exit serve(const Serving& serving);

}  // namespace sallyport::worker
