#include "tests/support/wait.hpp"

#include <poll.h>

#include <algorithm>

namespace sallyport::test {

int Deadline::left_ms() const {
    const auto left = std::chrono::duration_cast<milliseconds>(at_ - Clock::now()).count();
    return static_cast<int>(std::max<decltype(left)>(left, 0));
}

bool eventually(const std::function<bool()>& condition, milliseconds patience) {
    constexpr int kPauseMs = 2;
    const Deadline deadline(patience);
    while (!condition()) {
        if (deadline.is_over()) return condition();
        ::poll(nullptr, 0, kPauseMs);
    }
    return true;
}

bool wait_for(int fd, short events, const Deadline& deadline) {
    pollfd wanted{.fd = fd, .events = events, .revents = 0};
    return ::poll(&wanted, 1, deadline.left_ms()) > 0;
}

}  // namespace sallyport::test
