// Runs in:  broker, after lockdown()
#include "broker/serve/inspector.hpp"

#include <span>

#include "base/clock.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/handover.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {}  // namespace

Status Inspector::ask(const ipc::Query& query) {
    if (is_at_work_ || boottime_ns() >= due_ns().value_or(0)) end_child();
    const bool was_there = child_.is_open();
    if (!was_there) TRY(begin_child());
    const auto told = tell_child(query);
    // The child has just ended, which no query has caused.
    if (told || !was_there || told.error().code != Errc::kClosed) return told;
    end_child();
    TRY(begin_child());
    return tell_child(query);
}

Status Inspector::begin_child() {
    auto sockets = TRY(ipc::socket_pair());
    ipc::InspectorRequest order;
    order.mutable_begin_child()->set_number(++number_);
    ipc::encode(order, bytes_);
    const FdRef given(sockets.second);
    TRY(ipc::give(socket_, bytes_, std::span(&given, 1)));
    child_ = std::move(sockets.first);
    born_ns_ = boottime_ns();
    queries_ = 0;
    return {};
}

Status Inspector::tell_child(const ipc::Query& query) {
    ipc::encode(query, bytes_);
    TRY(ipc::send(child_, bytes_, ipc::WhenFull::kFail));
    is_at_work_ = true;
    asked_ns_ = boottime_ns();
    ++queries_;
    said_ = 0;
    return {};
}

bool Inspector::counts(std::size_t size) {
    said_ += size;
    return said_ <= kMaxInspected;
}

void Inspector::set_free() {
    is_at_work_ = false;
}

void Inspector::end_child() {
    if (!child_.is_open()) return;
    ipc::InspectorRequest order;
    order.mutable_end_child()->set_number(number_);
    order.mutable_end_child()->set_is_late(is_at_work_ &&
                                           boottime_ns() - asked_ns_ >= kInspectPatienceMs * kNsPerMs);
    ipc::encode(order, bytes_);
    // An inspector that does not take this is stopped, or gone. It kills this child before it begins another.
    (void)ipc::send(socket_, bytes_, ipc::WhenFull::kFail);
    child_.reset();
    is_at_work_ = false;
}

std::optional<std::int64_t> Inspector::due_ns() const {
    if (!child_.is_open()) return std::nullopt;
    return is_at_work_ ? asked_ns_ + kInspectMs * kNsPerMs : born_ns_ + kInspectorChildMs * kNsPerMs;
}

}  // namespace sallyport::broker
