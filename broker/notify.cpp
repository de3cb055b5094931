// What a service manager is told: ready, status, stopping.
// Runs in:  broker; connected before lockdown(), used afterwards
#include "broker/notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>

namespace sallyport::broker {

Result<Notify> Notify::connect() {
    Notify notify;
    const char* variable = std::getenv("NOTIFY_SOCKET");
    if (variable == nullptr) return notify;
    const std::string_view name(variable);
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (name.empty() || name.size() >= sizeof address.sun_path)
        return failure(Errc::kLimit, "NOTIFY_SOCKET: unusable");
    std::ranges::copy(name, address.sun_path);
    if (name.front() == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    notify.socket_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!notify.socket_.is_open()) return system_error("socket");
    if (::connect(notify.socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
        return system_error("NOTIFY_SOCKET");
    ::unsetenv("NOTIFY_SOCKET");
    return notify;
}

void Notify::say(std::string_view lines) const {
    if (!socket_.is_open()) return;
    [[maybe_unused]] const ssize_t sent =
        ::sendto(socket_.get(), lines.data(), lines.size(), MSG_NOSIGNAL, nullptr, 0);
}

}  // namespace sallyport::broker
