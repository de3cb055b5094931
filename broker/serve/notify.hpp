// Messages to a service manager: ready, status, stopping.
// Runs in:  broker
#pragma once

#include <string_view>
#include <utility>

#include "base/unique_fd.hpp"

namespace sallyport::broker {

class Notify {
public:
    /// `socket` is connected to the manager; without it say() does nothing.
    explicit Notify(UniqueFd socket) : socket_(std::move(socket)) {}

    /// Sends lines such as "READY=1\nSTATUS=...". Never waits, and ignores errors.
    void say(std::string_view lines) const;

private:
    UniqueFd socket_;
};

}  // namespace sallyport::broker
