#include "tests/setters/played_clocks.hpp"

#include <gtest/gtest.h>
#include <linux/rtc.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <stdexcept>

namespace sallyport::test {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

template <typename Value>
void copy(pid_t pid, void* there, Value& here, bool from_there) {
    const iovec ours{.iov_base = &here, .iov_len = sizeof here};
    const iovec theirs{.iov_base = there, .iov_len = sizeof here};
    const ssize_t done = from_there ? ::process_vm_readv(pid, &ours, 1, &theirs, 1, 0)
                                    : ::process_vm_writev(pid, &ours, 1, &theirs, 1, 0);
    if (done != static_cast<ssize_t>(sizeof here)) ADD_FAILURE() << "memory of the setter: " << errno;
}

}  // namespace

PlayedClocks::PlayedClocks() {
    // Not by a filter that hides privileges: the setter is to get its own as it does without.
    const std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ALLOW),
                                                                   seccomp_release);
    const auto add = [&](int call, unsigned at, scmp_datum_t value) {
        const scmp_arg_cmp is{.arg = at, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
        return seccomp_rule_add_array(filter.get(), SCMP_ACT_NOTIFY, call, 1, &is) == 0;
    };
    const bool is_made = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_NNP, 0) == 0 &&
                         add(SCMP_SYS(clock_settime), 0, CLOCK_REALTIME) &&
                         add(SCMP_SYS(ioctl), 1, RTC_RD_TIME) && add(SCMP_SYS(ioctl), 1, RTC_SET_TIME);
    if (!is_made || seccomp_load(filter.get()) != 0) throw std::runtime_error("seccomp");
    notices_ = UniqueFd(seccomp_notify_fd(filter.get()));
    thread_ = std::thread([this] { run(); });
}

PlayedClocks::~PlayedClocks() {
    stops_ = true;
    thread_.join();
}

void PlayedClocks::begin() {
    hardware_s = std::time(nullptr);
    set_error = write_error = read_error = 0;
    reads = writes = sets = 0;
    set_to_ns = written_s = 0;
}

void PlayedClocks::run() {
    seccomp_notif* notice = nullptr;
    seccomp_notif_resp* answer = nullptr;
    if (seccomp_notify_alloc(&notice, &answer) != 0) return;
    while (!stops_) {
        pollfd wanted{.fd = notices_.get(), .events = POLLIN, .revents = 0};
        if (::poll(&wanted, 1, 20) <= 0 || (wanted.revents & POLLIN) == 0) continue;
        std::memset(notice, 0, sizeof *notice);
        if (seccomp_notify_receive(notices_.get(), notice) != 0) continue;
        answer->id = notice->id;
        answer->val = 0;
        answer->flags = 0;
        answer->error = -play(*notice);
        seccomp_notify_respond(notices_.get(), answer);
    }
    seccomp_notify_free(notice, answer);
}

int PlayedClocks::play(const seccomp_notif& notice) {
    const bool is_set = notice.data.nr == SCMP_SYS(clock_settime);
    void* const place = reinterpret_cast<void*>(notice.data.args[is_set ? 1 : 2]);
    const auto pid = static_cast<pid_t>(notice.pid);
    if (is_set) {
        timespec time{};
        copy(pid, place, time, true);
        ++sets;
        if (set_error == 0) set_to_ns = time.tv_sec * kSecond + time.tv_nsec;
        return set_error;
    }
    rtc_time time{};
    if (notice.data.args[1] == RTC_SET_TIME) {
        copy(pid, place, time, true);
        ++writes;
        std::tm calendar{};
        std::memcpy(&calendar, &time, sizeof time);  // the kernel's begins as the C library's
        written_s = ::timegm(&calendar);
        return write_error;
    }
    if (++reads % 3 == 0) ++hardware_s;
    const std::time_t now = hardware_s;
    std::tm calendar{};
    ::gmtime_r(&now, &calendar);
    std::memcpy(&time, &calendar, sizeof time);
    copy(pid, place, time, false);
    return read_error;
}

}  // namespace sallyport::test
