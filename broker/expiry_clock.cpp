// The time by which rules expire. A host sets the guest's clock: at boot, and where the guest asks it for the time.
// Runs in:  broker
#include "broker/expiry_clock.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "broker/audit.hpp"

namespace sallyport::broker {

namespace {

constexpr const char* kName = "sallyport.clock";
constexpr policy::WallTime kEndOfTime = 253'402'300'800;  // the year 10000
constexpr policy::WallTime kKeepEvery = 60;
constexpr std::int64_t kNsPerSecond = 1'000'000'000;

}  // namespace

ClockReading read_clocks() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return {.wall = now.tv_sec, .boottime_ns = boottime_ns()};
}

ExpiryClock::ExpiryClock(policy::WallTime floor, ClockReading start)
    : start_(std::max(floor, start.wall)), start_ns_(start.boottime_ns), latest_(start_) {}

void ExpiryClock::look(ClockReading reading) {
    const std::int64_t passed = (reading.boottime_ns - start_ns_) / kNsPerSecond;
    latest_ = std::max({latest_, reading.wall, start_ + passed});
}

Result<KeptTime> KeptTime::open(FdRef state_directory) {
    constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    UniqueFd file(::openat(state_directory.get(), kName, kFlags, 0600));
    if (!file.is_open()) return system_error(kName);
    policy::WallTime floor = 0;
    const ssize_t got = ::pread(file.get(), &floor, sizeof floor, 0);
    if (got < 0) return system_error(kName);
    if ((got != 0 && got != sizeof floor) || floor < 0 || floor >= kEndOfTime)
        return failure(
            Errc::kInvalid,
            "sallyport.clock holds no time; without the file, expired rules are trusted to the clock");
    return KeptTime(std::move(file), floor);
}

Status KeptTime::keep(policy::WallTime now) {
    if (kept_ != 0 && now < kept_ + kKeepEvery) return {};
    kept_ = now;
    if (::pwrite(file_.get(), &now, sizeof now, 0) != sizeof now) return system_error(kName);
    return {};
}

}  // namespace sallyport::broker
