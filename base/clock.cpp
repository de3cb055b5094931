// Runs in:  broker, files, launcher, setter
#include "base/clock.hpp"

#include <algorithm>
#include <ctime>

namespace sallyport {

namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

}  // namespace

std::int64_t boottime_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return std::int64_t{now.tv_sec} * kNsPerSecond + now.tv_nsec;
}

std::int64_t wall_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return std::int64_t{now.tv_sec} * kNsPerSecond + now.tv_nsec;
}

ClockReading read_clocks() {
    return {.wall = wall_ns() / kNsPerSecond, .boottime_ns = boottime_ns()};
}

ExpiryClock::ExpiryClock(std::int64_t floor, ClockReading start)
    : start_(std::max(floor, start.wall)), start_ns_(start.boottime_ns), latest_(start_), wall_(start.wall) {}

void ExpiryClock::look(ClockReading reading) {
    const std::int64_t passed = (reading.boottime_ns - start_ns_) / kNsPerSecond;
    latest_ = std::max({latest_, reading.wall, start_ + passed});
    wall_ = reading.wall;
}

}  // namespace sallyport
