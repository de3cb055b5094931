// Waiting for a condition with a deadline; the tests never wait for a time to pass.
#pragma once

#include <chrono>
#include <functional>

namespace sallyport::test {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// Long enough for a loaded machine, short enough to notice that nothing will come.
inline constexpr milliseconds kPatience{10'000};

class Deadline {
public:
    explicit Deadline(milliseconds patience = kPatience) : at_(Clock::now() + patience) {}
    [[nodiscard]] bool is_over() const { return Clock::now() >= at_; }
    /// What poll(2) wants; at least 0.
    [[nodiscard]] int left_ms() const;

private:
    Clock::time_point at_;
};

/// Asks `condition` again and again until it is true; false if it is not within `patience`.
bool eventually(const std::function<bool()>& condition, milliseconds patience = kPatience);

/// Whether `fd` has one of the poll(2) `events` before the deadline.
bool wait_for(int fd, short events, const Deadline& deadline);

}  // namespace sallyport::test
