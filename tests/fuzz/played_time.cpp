// Stands in for the kernel's clocks and for ppoll(2): time passes when the fuzzer says so, and nobody waits.

// The header of a fortified program has a ppoll() of its own.
#undef _FORTIFY_SOURCE

#include "tests/fuzz/played_time.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>
#include <utility>

#include "sandbox/lockdown.hpp"

namespace sallyport::fuzz {

namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kStart = 1000 * kNsPerSecond;

struct Time {
    std::int64_t now_ns = kStart;
    bool found_nothing = false;
    std::int64_t wall_offset_s = 0;
};

Time& played() {
    static Time time;
    return time;
}

}  // namespace

void pass_ns(std::int64_t ns) {
    played().now_ns += ns;
}

void set_wall_offset(std::int64_t seconds) {
    played().wall_offset_s = seconds;
}

std::int64_t wall_offset() {
    return played().wall_offset_s;
}

void reset_time() {
    played() = Time{};
}

bool found_nothing() {
    return std::exchange(played().found_nothing, false);
}

}  // namespace sallyport::fuzz

// These take the place of libc's in the whole program. The fuzzer itself goes by the wall clock, which is real but for an offset.
extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
    using namespace sallyport::fuzz;
    if (clock != CLOCK_BOOTTIME && clock != CLOCK_MONOTONIC) {
        const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, now));
        now->tv_sec += played().wall_offset_s;
        return result;
    }
    *now = {.tv_sec = played().now_ns / kNsPerSecond, .tv_nsec = played().now_ns % kNsPerSecond};
    return 0;
}

// A look at one descriptor is no wait of the loop.
extern "C" int ppoll(pollfd* wanted, nfds_t count, const timespec* timeout, const sigset_t* /*mask*/) {
    const timespec at_once{};
    const auto ready = static_cast<int>(::syscall(SYS_ppoll, wanted, count, &at_once, nullptr, 0));
    const bool is_due = timeout != nullptr && timeout->tv_sec == 0 && timeout->tv_nsec == 0;
    if (count > 1) sallyport::fuzz::played().found_nothing = ready == 0 && !is_due;
    return ready;
}

namespace sallyport::sandbox {

int wait_quietly(std::span<pollfd> wanted, const timespec* most) {
    return ::ppoll(wanted.data(), wanted.size(), most, nullptr);
}

}  // namespace sallyport::sandbox
