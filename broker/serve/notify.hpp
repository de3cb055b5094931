// What a service manager is told: ready, status, stopping.
// Runs in:  broker
#pragma once

#include <string_view>
#include <utility>

#include "base/unique_fd.hpp"

namespace sallyport::broker {

class Notify {
public:
    /// `socket` is connected to the manager; without one say() does nothing.
    explicit Notify(UniqueFd socket) : socket_(std::move(socket)) {}

    /// Sends lines such as "READY=1\nSTATUS=...". Nobody waits for it and nobody learns if it is lost.
    void say(std::string_view lines) const;

private:
    UniqueFd socket_;
};

}  // namespace sallyport::broker
