// Runs in:  guard
#include "broker/guard/serve.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.hpp"
#include "broker/guard/spawn.hpp"
#include "ipc/codec.hpp"
#include "sandbox/lockdown.hpp"

namespace sallyport::guard {

namespace {

constexpr std::int64_t kHelpAfter = 50 * kNsPerMs;  // a thaw that takes longer gets another child, repeatedly
constexpr std::int64_t kThawPatience = 900 * kNsPerMs;  // after this the broker is told what is left
constexpr std::int64_t kTellAgain = 60'000 * kNsPerMs;  // and again at this interval
constexpr std::int64_t kThawRetry = 60'000 * kNsPerMs;  // for this long children are added

}  // namespace

Result<Guard> Guard::open(UniqueFd broker) {
    Guard guard;
    guard.broker_ = std::move(broker);
    guard.root_ = UniqueFd(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!guard.root_.is_open()) return system_error("/");
    guard.timer_ = UniqueFd(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!guard.timer_.is_open()) return system_error("timerfd");
    guard.planner_ = TRY(Planner::open());
    return guard;
}

Status Guard::lock() const {
    return sandbox::lockdown_guard(root_, planner_.sys());
}

void Guard::send(const ipc::GuardReply& reply) {
    // A broker that does not read is about to end, and then we thaw.
    [[maybe_unused]] const auto sent = ipc::say(broker_, reply, ipc::WhenFull::kFail);
}

int Guard::run() {
    for (;;) {
        if (broker_.is_open() && !take_request()) {
            broker_.reset();
            if (family_) thaw(ipc::Thawed::BROKER_GONE);
        }
        if (phase_ == Phase::kFreezing) go_on_freezing();
        if (phase_ == Phase::kFrozen && now_ns() >= due_ns_) thaw(ipc::Thawed::DEADLINE);
        if (phase_ == Phase::kThawing) go_on_thawing();
        if (!broker_.is_open() && phase_ == Phase::kIdle) return 0;
        turn();
    }
}

// The next time at which something must be done without any event.
void Guard::set_timer() {
    std::int64_t at = 0;
    if (phase_ == Phase::kFreezing) at = std::min(due_ns_, step_ns_ + row_.per_mount_ms() * kNsPerMs);
    if (phase_ == Phase::kFrozen) at = due_ns_;
    if (phase_ == Phase::kThawing) at = now_ns() + kHelpAfter;
    const itimerspec when{.it_interval = {},
                          .it_value = {.tv_sec = at / 1'000'000'000, .tv_nsec = at % 1'000'000'000}};
    SALLYPORT_CHECK(::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) == 0);
}

void Guard::turn() {
    set_timer();
    std::vector<pollfd> wanted;
    for (const int fd : {broker_.get(), timer_.get(), trimmer_.get()})
        wanted.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    if (family_)
        for (const int fd : family_->wake_ups()) wanted.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    if (::ppoll(wanted.data(), wanted.size(), nullptr, nullptr) < 0) return;
    if (wanted[2].revents != 0) {
        trimmer_.reset();
        ipc::GuardReply reply;
        reply.mutable_trimmed()->set_last(true);
        send(reply);
    }
    if (!family_) return;
    if (std::any_of(wanted.begin() + 3, wanted.end(), [](const pollfd& one) { return one.revents != 0; }) &&
        phase_ == Phase::kFreezing)
        step_ns_ = now_ns();
    if (family_->hear() || phase_ == Phase::kThawing) return;
    ipc::MountError lost;
    lost.set_step(ipc::MountError::FREEZE);
    lost.set_sys_errno(EOWNERDEAD);
    fail(lost, ipc::Thawed::LOST_PROCESS);
}

bool Guard::take_request() {
    ipc::GuardRequest request;
    const auto got = ipc::hear(broker_, request, frame_);
    if (!got) return false;
    if (!*got) return true;
    if (!is_locked_) return take_rows(request);
    take_order(request);
    return true;
}

bool Guard::take_rows(const ipc::GuardRequest& request) {
    if (request.has_add_row() && rows_.size() < kMaxFreezeRows) {
        rows_.push_back(request.add_row().selection());
        return true;
    }
    if (!request.has_lock() || !lock()) return false;
    is_locked_ = true;
    state_mount_ = request.lock().state_mount();
    ipc::GuardReply reply;
    *reply.mutable_ready() = request.lock().take_over() ? take_over() : ipc::GuardReady();
    send(reply);
    return true;
}

void Guard::take_order(const ipc::GuardRequest& request) {
    switch (request.op_case()) {
        case ipc::GuardRequest::kList:
            return list(request.list().row());
        case ipc::GuardRequest::kFreeze:
            return freeze(request.freeze());
        case ipc::GuardRequest::kTrim:
            return trim(request.trim());
        case ipc::GuardRequest::kThaw:
            cause_ = ipc::Thawed::COMMAND;
            freeze_ = request.thaw().freeze();
            is_thaw_ordered_ = true;
            return phase_ == Phase::kIdle ? report_thawed() : thaw(cause_);
        default:
            return broker_.reset();
    }
}

// The freezer reports success or failure; only the deadlines are checked here.
void Guard::go_on_freezing() {
    if (family_->progress() == Progress::kDone) {
        for (const State state : {State::kFreezeFailed, State::kThawFailed})
            if (const auto failed = family_->find(state, ipc::MountError::FREEZE))
                return fail(*failed, ipc::Thawed::UNSPECIFIED);
        return report_frozen();
    }
    const std::int64_t now = now_ns();
    if (family_->progress() == Progress::kSyncing) due_ns_ = now + row_.max_frozen_ms() * kNsPerMs;
    if (now < due_ns_ && now < step_ns_ + row_.per_mount_ms() * kNsPerMs) return;
    auto slow = family_->find(State::kFreezing, ipc::MountError::FREEZE);
    if (!slow) slow = family_->find(State::kSyncing, ipc::MountError::SYNC);
    if (!slow) slow.emplace().set_step(ipc::MountError::FREEZE);
    slow->set_sys_errno(ETIMEDOUT);
    fail(*slow, ipc::Thawed::DEADLINE);
}

void Guard::move(Turn event) {
    const auto to = next(kPhaseTable, phase_, event);
    SALLYPORT_CHECK(to.has_value());
    phase_ = *to;
}

void Guard::fail(const ipc::MountError& error, ipc::Thawed::Cause cause) {
    if (phase_ == Phase::kFreezing) error_ = error;
    thaw(cause);
}

void Guard::thaw(ipc::Thawed::Cause cause) {
    if (phase_ == Phase::kFreezing && !error_) {
        error_.emplace().set_step(ipc::MountError::FREEZE);
        error_->set_sys_errno(ECANCELED);
    }
    left_told_ns_ = 0;
    if (phase_ != Phase::kThawing) cause_ = cause;
    if (phase_ != Phase::kThawing) family_->thaw();
    move(Turn::kThaw);
    step_ns_ = now_ns();
}

void Guard::go_on_thawing() {
    const std::int64_t lasts = now_ns() - step_ns_;
    if (family_->is_thawed()) {
        report_thawed();
        family_.reset();
        move(Turn::kAllThawed);
    } else {
        const std::int64_t now = now_ns();
        if (lasts >= kThawPatience && (left_told_ns_ == 0 || now >= left_told_ns_ + kTellAgain)) {
            left_told_ns_ = now;
            report_thawed();
        }
        if (lasts >= kHelpAfter && lasts < kThawRetry) family_->help();
    }
}

void Guard::report_frozen() {
    ipc::GuardReply reply;
    ipc::Frozen& frozen = *reply.mutable_frozen();
    frozen.set_count(family_->count(State::kFrozen));
    frozen.set_unsupported(family_->count(State::kUnsupported));
    frozen.set_already_frozen(family_->count(State::kAlreadyFrozen));
    frozen.set_left_out(left_out_);
    frozen.set_window_us(family_->window_us());
    send(reply);
    move(frozen.count() > 0 ? Turn::kFrozen : Turn::kNothingFrozen);
    if (frozen.count() > 0) return;
    family_->thaw();
    family_.reset();
}

void Guard::report_thawed() {
    ipc::GuardReply reply;
    const std::uint32_t left = family_ ? family_->left() : 0;
    if (error_ && left == 0) {
        *reply.mutable_freeze_failed()->mutable_error() = *error_;
        send(reply);
        error_.reset();
        if (!is_thaw_ordered_) return;
    }
    ipc::Thawed& thawed = *reply.mutable_thawed();
    thawed.set_cause(cause_);
    thawed.set_freeze(freeze_);
    thawed.set_count(family_ ? family_->count(State::kThawed) : 0);
    thawed.set_left(left);
    thawed.set_spares_state(left > 0 && !family_->is_state_left());
    for (const State state : {State::kThawFailed, State::kThawing, State::kFreezing, State::kFrozen}) {
        const auto stuck = left > 0 ? family_->find(state, ipc::MountError::THAW) : std::nullopt;
        if (stuck && !thawed.has_error()) *thawed.mutable_error() = *stuck;
    }
    // No answer from the kernel yet.
    if (thawed.has_error() && thawed.error().sys_errno() == 0)
        thawed.mutable_error()->set_sys_errno(ETIMEDOUT);
    send(reply);
    is_thaw_ordered_ = false;
}

}  // namespace sallyport::guard
