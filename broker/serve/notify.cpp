// Runs in:  broker
#include "broker/serve/notify.hpp"

#include <sys/socket.h>

namespace sallyport::broker {

void Notify::say(std::string_view lines) const {
    if (!socket_.is_open()) return;
    [[maybe_unused]] const ssize_t sent =
        ::sendto(socket_.get(), lines.data(), lines.size(), MSG_NOSIGNAL, nullptr, 0);
}

}  // namespace sallyport::broker
