// Runs in:  recorder
#include "broker/recorder/recorder.hpp"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <span>

#include "base/clock.hpp"
#include "ipc/channel.hpp"

namespace sallyport::recorder {

namespace {

constexpr std::int64_t kForever = -1;
constexpr std::int64_t kGatherNs = 5 * kNsPerMs;    // after a write: gathers lines, to write them together
constexpr std::int64_t kRetryNs = 100 * kNsPerMs;   // after a failed write
constexpr std::int64_t kSyncNs = 1'000 * kNsPerMs;  // lines reach the disk after this long at most

std::int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void wait(std::span<pollfd> wanted, std::int64_t patience_ns) {
    const timespec patience{.tv_sec = patience_ns / 1'000'000'000, .tv_nsec = patience_ns % 1'000'000'000};
    if (::ppoll(wanted.data(), wanted.size(), patience_ns == kForever ? nullptr : &patience, nullptr) < 0)
        for (pollfd& one : wanted) one.revents = 0;
}

// Drains frames, whose only meaning is to wake us. Closes our end if the peer has closed its own.
void hear(UniqueFd& socket) {
    std::array<char, 16> ignored{};
    while (socket.is_open()) {
        const ssize_t got = ::recv(socket.get(), ignored.data(), ignored.size(), MSG_DONTWAIT);
        if (got > 0 || (got < 0 && errno == EINTR)) continue;
        if (got < 0 && errno == EAGAIN) return;
        socket.reset();
    }
}

void wake(const UniqueFd& socket) {
    if (socket.is_open()) ::send(socket.get(), "w", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

int Recorder::run() {
    while (!is_over_)
        if (is_keeper_)
            keep();
        else
            write();
    return exit_status_;
}

// Uses the raw call, since the filter allows exactly these flags. If it fails, the next turn tries again.
void Recorder::start_keeper() {
    auto pair = ipc::socket_pair();
    if (!pair) return;
    const long pid = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    if (pid < 0) return;
    is_keeper_ = pid == 0;
    peer_ = std::move(is_keeper_ ? pair->second : pair->first);
}

Result<bool> Recorder::write_all() {
    if (has_to_take_over_) {
        TRY(log_.take_over());
        has_to_take_over_ = false;
    }
    bool has_written = false;
    while (TRY(log_.write_some(ring_))) has_written = true;
    const std::uint32_t reopens = ring_.words().reopens;
    if (reopens != reopens_) TRY(log_.reopen());
    reopens_ = reopens;
    return has_written;
}

// A removed directory or a file size limit is permanent, and nobody is left to be told. If another recorder still holds the log,
// nothing was done that had to be recorded; otherwise each further start would leave one more recorder waiting.
bool Recorder::is_worth_waiting(const Error& error) const {
    return last_lines_ == LastLines::kWait && error.code != Errc::kLimit && error.sys_errno != ENOENT &&
           error.sys_errno != EFBIG;
}

// For the next start.
void Recorder::keep_state() {
    ipc::RingWords& words = ring_.words();
    const int time_fault = time_.keep(words.latest_time);
    const int fault = time_fault != 0 ? time_fault : budgets_.keep(words);
    if (fault != 0) words.time_fault = fault;
}

// The end: the broker is gone, and can take nothing more of a budget. What it gave last may have woken nobody.
void Recorder::close() {
    const bool is_synced = log_.sync().has_value();
    static_cast<void>(time_.keep(ring_.words().latest_time));
    if (budgets_.keep(ring_.words()) == 0) budgets_.close();
    end(is_synced ? 0 : 1);
}

// One turn of the writer: writes everything it can, then waits for more.
void Recorder::write() {
    ipc::RingWords& words = ring_.words();
    hear(broker_);
    hear(peer_);
    // After a normal end of the other process there is nothing left to write, and no new file may be created.
    if (!broker_.is_open() && log_.is_complete(ring_)) return close();
    words.is_asleep = 0;
    const std::uint64_t before = words.taken;
    const bool held = is_held();
    if (!held) keep_state();
    const auto written = held ? Result<bool>(false) : write_all();
    if (!written && written.error().code == Errc::kInvalid) return end(1);
    const bool is_done = written && !*written && !held;
    if (!broker_.is_open() && !written && !is_worth_waiting(written.error())) return end(1);
    if (!peer_.is_open()) start_keeper();
    if (is_keeper_) return;
    // The keeper waits without a deadline only while everything written is on the disk.
    const bool was_clean = words.synced == before && words.taken != before;
    if (was_clean || words.sync_wanted > words.synced) wake(peer_);
    if (is_done) words.is_asleep = 1;
    // What was put or taken just before is_asleep was set: the broker will send no frame for it.
    if (is_done && (!log_.is_complete(ring_) || budgets_.are_behind(words))) return;
    std::array wanted{pollfd{.fd = broker_.get(), .events = POLLIN, .revents = 0},
                      pollfd{.fd = peer_.get(), .events = POLLIN, .revents = 0}};
    wait(wanted, !written ? kRetryNs : *written ? kGatherNs : kForever);
}

// One turn of the keeper: syncs what was written, so that the writer never waits for that.
void Recorder::keep() {
    ipc::RingWords& words = ring_.words();
    hear(peer_);
    if (!peer_.is_open()) return become_writer();
    const std::uint64_t taken = words.taken;
    const bool is_dirty = taken != words.synced;
    const bool is_wanted = words.sync_wanted > words.synced && taken >= words.sync_wanted;
    const std::int64_t now = now_ns();
    if (!is_dirty || dirty_since_ == 0) dirty_since_ = is_dirty ? now : 0;
    const std::int64_t left_ns = dirty_since_ + kSyncNs - now;
    if (is_dirty && !is_held() && (is_wanted || left_ns <= 0)) {
        dirty_since_ = 0;
        if (log_.sync()) words.synced = taken;
        if (is_wanted) wake(broker_);
        return;
    }
    std::array wanted{pollfd{.fd = peer_.get(), .events = POLLIN, .revents = 0}};
    wait(wanted, !is_dirty ? kForever : left_ns > 0 ? left_ns : kSyncNs);
}

// THREAT: a broker that was taken over has the writer end, after it gave lower values than the writer has kept. What the keeper
// remembers of both files is older still: it dates from its own start.
void Recorder::become_writer() {
    is_keeper_ = false;
    time_.forget();
    budgets_.forget();
    has_to_take_over_ = true;
    reopens_ = ring_.words().reopens;
}

void Recorder::end(int exit_status) {
    exit_status_ = exit_status;
    is_over_ = true;
}

}  // namespace sallyport::recorder
