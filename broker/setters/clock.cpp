// The system's clock and the hardware clock.
// Runs in:  setter, after its lockdown; the hardware clock is opened before
// Input:    a time of a host; what the hardware clock says
// Relies on: policy/set.cpp for how far the clock may be set
#include <fcntl.h>
#include <linux/rtc.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <optional>

#include "broker/setters/setters.hpp"
#include "policy/set.hpp"

namespace sallyport::setters {

namespace {

using ipc::SetResult;

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kSecondsPerDay = 86'400;
constexpr std::int64_t kTickNs = 2'000'000;

bool is_missing(int error) {
    return error == ENOENT || error == ENODEV || error == ENXIO;
}

void wait_ns(std::int64_t ns) {
    const timespec time{.tv_sec = ns / kNsPerSecond, .tv_nsec = ns % kNsPerSecond};
    ::clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
}

// Without the C library's calendar, which reads files.
std::int64_t seconds_of(const rtc_time& time) {
    const std::chrono::year_month_day date(std::chrono::year(time.tm_year + 1900),
                                           std::chrono::month(static_cast<unsigned>(time.tm_mon) + 1),
                                           std::chrono::day(static_cast<unsigned>(time.tm_mday)));
    const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
    return days * kSecondsPerDay + time.tm_hour * 3600 + time.tm_min * 60 + time.tm_sec;
}

rtc_time time_of(std::int64_t seconds) {
    const std::chrono::year_month_day date{
        std::chrono::sys_days(std::chrono::days(seconds / kSecondsPerDay))};
    const int rest = static_cast<int>(seconds % kSecondsPerDay);
    rtc_time time{};
    time.tm_year = static_cast<int>(date.year()) - 1900;
    time.tm_mon = static_cast<int>(static_cast<unsigned>(date.month())) - 1;
    time.tm_mday = static_cast<int>(static_cast<unsigned>(date.day()));
    time.tm_hour = rest / 3600;
    time.tm_min = rest / 60 % 60;
    time.tm_sec = rest % 60;
    return time;
}

// The time at the moment at which a second begins: it says whole seconds only. In UTC. 0, or the error.
int read_hardware(const HardwareClock& hardware, std::int64_t& ns) {
    rtc_time first{};
    if (!hardware.device.is_open()) return hardware.sys_errno;
    if (::ioctl(hardware.device.get(), RTC_RD_TIME, &first) != 0) return errno;
    rtc_time time = first;
    for (std::int64_t waited = 0; time.tm_sec == first.tm_sec && waited < kNsPerSecond + kTickNs;
         waited += kTickNs) {
        wait_ns(kTickNs);
        if (::ioctl(hardware.device.get(), RTC_RD_TIME, &time) != 0) return errno;
    }
    ns = seconds_of(time) * kNsPerSecond;
    return 0;
}

// The usual one begins its next second half a second after it was set.
int write_hardware(const HardwareClock& hardware) {
    if (!hardware.device.is_open()) return hardware.sys_errno;
    wait_ns((3 * kNsPerSecond / 2 - wall_ns() % kNsPerSecond) % kNsPerSecond);
    rtc_time time = time_of(wall_ns() / kNsPerSecond);
    return ::ioctl(hardware.device.get(), RTC_SET_TIME, &time) == 0 ? 0 : errno;
}

}  // namespace

HardwareClock open_hardware_clock() {
    HardwareClock hardware;
    for (const char* path : {"/dev/rtc0", "/dev/rtc"}) {
        hardware.device.reset(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
        hardware.sys_errno = hardware.device.is_open() ? 0 : errno;
        if (!is_missing(hardware.sys_errno)) break;
    }
    return hardware;
}

// THREAT: between the decisions of broker and launcher and this moment the clock may have been set by somebody else, and what the
// hardware clock says they do not know. So the step is measured here as well, just before it is taken.
SetResult set_clock(const ipc::SetTask& task, const HardwareClock& hardware) {
    const bool is_told = task.order().time().has_to_ns();
    std::int64_t to_ns = task.order().time().to_ns();
    if (!is_told)
        if (const int error = read_hardware(hardware, to_ns); error != 0)
            return result_of(SetResult::RTC_READ, error);
    if (!policy::is_step_within(task.by().time(), to_ns, {.latest = task.latest(), .wall_ns = wall_ns()}))
        return result_of(SetResult::BEYOND);
    const timespec time{.tv_sec = to_ns / kNsPerSecond, .tv_nsec = to_ns % kNsPerSecond};
    if (::clock_settime(CLOCK_REALTIME, &time) != 0) return result_of(SetResult::CLOCK, errno);
    const int error = is_told ? write_hardware(hardware) : 0;
    if (is_missing(error)) return result_of(SetResult::NO_RTC, error);
    return error == 0 ? result_of(SetResult::DONE) : result_of(SetResult::RTC_WRITE, error);
}

}  // namespace sallyport::setters
