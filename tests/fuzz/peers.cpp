// The processes that the broker talks to, played by the fuzzer: they keep their contracts, in any order and at any time.
#include "tests/fuzz/peers.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ipc/handover.hpp"
#include "ipc/inspected.hpp"
#include "ipc/limits.hpp"
#include "schema/commands.hpp"
#include "tests/fuzz/hours.hpp"

namespace sallyport::fuzz {

UniqueFd Peer::connect() {
    auto pair = ipc::socket_pair();
    promise(pair.has_value(), "a socket pair can be made");
    socket = std::move(pair->second);
    return std::move(pair->first);
}

void Peer::say(const google::protobuf::MessageLite& message) const {
    std::string bytes;
    ipc::encode(message, bytes);
    (void)ipc::send(socket, bytes, ipc::WhenFull::kFail);
}

bool Peer::hear() {
    const auto got = ipc::receive(socket, frame);
    return got.has_value() && *got;
}

void PlayedGuard::take_orders() {
    while (auto order = hear_message<ipc::GuardRequest>()) {
        promise(
            order->op_case() == ipc::GuardRequest::kList || order->op_case() == ipc::GuardRequest::kFreeze ||
                order->op_case() == ipc::GuardRequest::kThaw || order->op_case() == ipc::GuardRequest::kTrim,
            "the guard gets orders");
        orders_.push_back(*std::move(order));
    }
}

void PlayedGuard::say_failed(int sys_errno, const char* mount) const {
    ipc::GuardReply reply;
    ipc::MountError& error = *reply.mutable_freeze_failed()->mutable_error();
    error.set_step(ipc::MountError::FREEZE);
    error.set_mount(mount);
    error.set_sys_errno(sys_errno);
    say(reply);
}

void PlayedGuard::say_thawed(ipc::Thawed::Cause cause, std::uint32_t left) {
    ipc::GuardReply reply;
    ipc::Thawed& thawed = *reply.mutable_thawed();
    thawed.set_cause(cause);
    thawed.set_count(frozen_ - std::min(frozen_, left));
    thawed.set_left(left);
    thawed.set_freeze(number_);
    if (left > 0) {
        thawed.mutable_error()->set_step(ipc::MountError::THAW);
        thawed.mutable_error()->set_mount("/b");
        thawed.mutable_error()->set_sys_errno(EIO);
    }
    say(reply);
    is_thawing_ = left > 0;
    if (left == 0) frozen_ = 0;
}

void PlayedGuard::end_freeze(Draw& draw) {
    const ipc::Freeze freeze = *std::exchange(freezing_, std::nullopt);
    if (draw.rarely(4)) return say_failed(draw.one_of({EIO, ETIMEDOUT, EBUSY}), draw.one_of({"/a", ""}));
    const std::uint32_t most = freeze.chosen_only() ? static_cast<std::uint32_t>(freeze.chosen_size()) : 2;
    frozen_ = std::min<std::uint32_t>(most, draw.one_of({2U, 1U, 0U}));
    ipc::GuardReply reply;
    reply.mutable_frozen()->set_count(frozen_);
    say(reply);
}

void PlayedGuard::carry_out(const ipc::GuardRequest& order, Draw& draw) {
    ipc::GuardReply reply;
    switch (order.op_case()) {
        case ipc::GuardRequest::kList: {
            for (const bool more : {true, false}) {
                ipc::Listed& listed = *reply.mutable_listed();
                listed.Clear();
                listed.add_mounts()->set_point(more ? "/a" : "/b");
                listed.mutable_mounts(0)->set_number(more ? 0 : 1);
                listed.set_more(more);
                say(reply);
            }
            return;
        }
        case ipc::GuardRequest::kFreeze:
            if (freezing_ || frozen_ > 0 || is_trimming_ || is_thawing_) return say_failed(EBUSY, "");
            number_ = order.freeze().freeze();
            // As the real one, which looks once more before it begins.
            if (!orders_.empty()) return say_failed(ECANCELED, "");
            freezing_ = order.freeze();
            reply.mutable_begun();
            return say(reply);
        case ipc::GuardRequest::kThaw:
            number_ = order.thaw().freeze();
            if (std::exchange(freezing_, std::nullopt)) say_failed(ECANCELED, "");
            return say_thawed(ipc::Thawed::COMMAND, frozen_ > 0 && draw.rarely(4) ? 1 : 0);
        default:
            if (freezing_ || frozen_ > 0 || is_trimming_ || is_thawing_) {
                reply.mutable_trimmed()->set_last(true);
                return say(reply);
            }
            is_trimming_ = true;
            reply.mutable_begun();
            say(reply);
    }
}

bool PlayedGuard::act(Draw& draw) {
    if (!orders_.empty() && !draw.rarely(4)) {
        const ipc::GuardRequest order = std::move(orders_.front());
        orders_.pop_front();
        carry_out(order, draw);
    } else if (freezing_) {
        end_freeze(draw);
    } else if (is_thawing_) {
        say_thawed(ipc::Thawed::COMMAND, 0);
    } else if (frozen_ > 0) {
        say_thawed(draw.one_of({ipc::Thawed::DEADLINE, ipc::Thawed::LOST_PROCESS}), 0);
    } else if (is_trimming_) {
        ipc::GuardReply reply;
        ipc::Trimmed& trimmed = *reply.mutable_trimmed();
        is_trimming_ = draw.rarely(2);
        trimmed.set_last(!is_trimming_);
        if (is_trimming_) trimmed.set_mount(draw.one_of({"/a", "/b\xff"}));
        say(reply);
    } else {
        return false;
    }
    return true;
}

bool PlayedGuard::come_to_rest() {
    Draw none({});
    return act(none);
}

void PlayedInspector::take_orders() {
    std::string scratch;
    std::vector<UniqueFd> given;
    while (ipc::take(socket, frame, given).value_or(false)) {
        ipc::InspectorRequest order;
        promise(ipc::decode(frame.bytes, order, scratch).has_value(), "the broker's frames are canonical");
        promise(order.has_begin_child() == (given.size() == 1) &&
                    order.has_begin_child() != order.has_end_child(),
                "a child is begun with its socket, and ended");
        if (!order.has_begin_child()) continue;
        former_ = std::move(child_);
        child_ = std::move(given.front());
    }
    while (child_.is_open() && ipc::receive(child_, frame).value_or(false)) {
        const std::int64_t before = query_.latest();
        promise(ipc::decode(frame.bytes, query_, scratch).has_value(), "a child gets queries");
        promise(query_.latest() >= before, "the time by which rules expire never runs backwards");
        promise(
            std::exchange(may_be_repeated_, false) || may_be_asked(static_cast<CommandId>(query_.command())),
            "nothing is asked outside the hours of its rule");
    }
}

// Nobody looks into it: a few bytes, or more than a frame holds.
std::string PlayedInspector::answer(Draw& draw) const {
    const bool is_long = query_.command() == static_cast<std::uint32_t>(CommandId::kGetUsers);
    if (draw.rarely(8)) return draw.bytes(32);
    return std::string(is_long ? 2 * kMaxFrame : 8, 'a');
}

void PlayedInspector::say(ipc::Word word, std::string_view rest) const {
    (void)ipc::send(child_, static_cast<char>(word) + std::string(rest), ipc::WhenFull::kFail);
}

// All parts, or all but the last.
void PlayedInspector::say_parts(std::string_view rest, bool ends) const {
    for (std::size_t at = 0; at == 0 || at < rest.size(); at += kInspectedPart) {
        const bool is_last = at + kInspectedPart >= rest.size() && ends;
        say(is_last ? ipc::Word::kLast : ipc::Word::kMore, rest.substr(at, kInspectedPart));
    }
}

// Any frame that the kernel takes: also an empty one, one that is too long, and one with a descriptor.
void PlayedInspector::say_raw(std::string_view bytes, bool with_descriptor) const {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec part{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (with_descriptor) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr& header = *CMSG_FIRSTHDR(&message);
        header.cmsg_level = SOL_SOCKET;
        header.cmsg_type = SCM_RIGHTS;
        header.cmsg_len = CMSG_LEN(sizeof(int));
        const int given = child_.get();
        std::memcpy(CMSG_DATA(&header), &given, sizeof given);
    }
    (void)::sendmsg(child_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void PlayedInspector::lie(Draw& draw) {
    if (!child_.is_open()) return;
    may_be_repeated_ = true;
    const std::string more(1, static_cast<char>(ipc::Word::kMore));
    const std::string last(1, static_cast<char>(ipc::Word::kLast));
    switch (draw.below(10)) {
        case 0:
            return say_raw(draw.bytes(64), draw.rarely(2));
        case 1:
            return say_raw({}, draw.rarely(2));
        case 2:
            return say_raw(
                (draw.rarely(2) ? more : last) +
                    std::string(draw.one_of({kInspectedPart - 1, kInspectedPart, kInspectedPart + 1,
                                             kMaxFrame - 1, kMaxFrame, std::size_t{0}}),
                                'l'),
                draw.rarely(4));
        case 3:
            // Answers twice, or for who asks next.
            say_parts(answer(draw), true);
            return say_parts(answer(draw), !draw.rarely(2));
        case 4:
            return say_parts(std::string(draw.one_of({1U, 10U}) * kInspectedPart, 'l'), false);
        case 5:
            // More than a reply may have, in the parts of an honest one; the socket takes what it takes.
            return say_parts(std::string(draw.one_of({kMaxInspected, kMaxInspected + 1}), 'l'), true);
        case 6:
            if (former_.is_open()) (void)ipc::send(former_, last + "former", ipc::WhenFull::kFail);
            return draw.rarely(2) ? former_.reset() : void();
        case 7:
            (void)::shutdown(child_.get(), draw.one_of({SHUT_WR, SHUT_RD, SHUT_RDWR}));
            return;
        case 8:
            say_parts(answer(draw), !draw.rarely(4));
            return child_.reset();
        default:
            return say(draw.one_of({ipc::Word::kSystem, ipc::Word::kOutdated, ipc::Word::kNoRoom}),
                       draw.bytes(5));
    }
}

void PlayedInspector::act(Draw& draw) {
    if (!child_.is_open()) return;
    if (draw.rarely(8)) {
        may_be_repeated_ = true;
        return child_.reset();
    }
    if (draw.rarely(4)) {
        may_be_repeated_ = true;
        return say(draw.one_of({ipc::Word::kSystem, ipc::Word::kOutdated, ipc::Word::kTooLarge,
                                ipc::Word::kNoRoom, ipc::Word::kNoBlocks, ipc::Word{'?'}}),
                   draw.bytes(5));
    }
    say_parts(answer(draw), !draw.rarely(8));
}

ipc::Ring PlayedRecorder::make_ring() {
    auto ring = ipc::Ring::create();
    promise(ring.has_value(), "a ring can be made");
    auto mapped = ipc::Ring::map(UniqueFd(::fcntl(ring->fd().get(), F_DUPFD_CLOEXEC, 0)));
    promise(mapped.has_value(), "a recorder can map its ring");
    ring_.emplace(*std::move(mapped));
    return *std::move(ring);
}

void PlayedRecorder::take_all() {
    std::string line;
    for (;;) {
        const auto got = ring_->take(position_, line);
        promise(got.has_value(), "what is put is a line");
        if (!*got) break;
        log_ += line + "\n";
    }
    ring_->words().taken = position_;
}

void PlayedRecorder::act() {
    bool is_woken = false;
    while (hear()) {
        promise(frame.bytes == "w", "a frame to the recorder says nothing");
        is_woken = true;
    }
    const bool has_lines = ring_->words().put != position_;
    promise(is_woken || !is_asleep_ || !has_lines, "the recorder is woken when there is a line");
    promise(is_woken || is_held() || !was_held_, "the recorder is woken when it is no longer held");
    is_asleep_ = is_asleep_ && !is_woken;
    was_held_ = is_held();
    if (is_stuck || is_held()) return;
    take_all();
    is_asleep_ = true;
    ring_->words().is_asleep = 1;
    if (ring_->words().synced >= ring_->words().sync_wanted) return;
    ring_->words().synced = position_;
    (void)ipc::send(socket, "s", ipc::WhenFull::kFail);
}

void PlayedNursery::take_orders() {
    std::vector<UniqueFd> given;
    for (;;) {
        const auto got = ipc::take(socket, frame, given);
        if (!got || !*got) return;
        ipc::NurseryRequest request;
        std::string scratch;
        promise(ipc::decode(frame.bytes, request, scratch).has_value(), "the broker's frames are canonical");
        if (request.has_kill_worker()) {
            is_told_to_kill = true;
            continue;
        }
        promise(started == 0, "a worker is started only after the end of the one before");
        promise(given.size() == 3, "a worker has three descriptors");
        started = request.start_worker().id();
        is_told_to_kill = false;
        worker_socket = std::move(given[1]);
        arena = std::move(given[2]);
    }
}

}  // namespace sallyport::fuzz
