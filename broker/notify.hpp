// What a service manager is told: ready, status, stopping.
// Runs in:  broker; connected before lockdown(), used afterwards
#pragma once

#include <string_view>

#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"

namespace sallyport::broker {

class Notify {
public:
    /// Connects to the datagram socket that NOTIFY_SOCKET names; without that variable say() does nothing.
    /// Errors: kSystem, kLimit.
    static Result<Notify> connect();

    /// Sends lines such as "READY=1\nSTATUS=...". Nobody waits for it and nobody learns if it is lost.
    void say(std::string_view lines) const;

private:
    UniqueFd socket_;
};

}  // namespace sallyport::broker
