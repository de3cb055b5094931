// Runs in:  broker, files, launcher, recorder, setter
#include "base/clock.hpp"

#include <algorithm>
#include <ctime>

namespace sallyport {

namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

std::int64_t ns_of(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return std::int64_t{now.tv_sec} * kNsPerSecond + now.tv_nsec;
}

}  // namespace

std::int64_t boottime_ns() {
    return ns_of(CLOCK_BOOTTIME);
}

std::int64_t awake_ns() {
    return ns_of(CLOCK_MONOTONIC);
}

std::int64_t wall_ns() {
    return ns_of(CLOCK_REALTIME);
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
