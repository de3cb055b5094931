#include "worker/conversation.hpp"

#include <utility>

#include "worker/error_map.hpp"
#include "worker/inspected.hpp"
#include "worker/json_writer.hpp"
#include "worker/reply.hpp"

namespace sallyport::worker {

namespace {

constexpr std::chrono::milliseconds kPatience{kSyncPatienceMs};

HostError busy() {
    return generic_error("the agent is busy with an earlier request");
}
bool is_urgent(const Pending& pending) {
    return command_row(pending.command).while_frozen == WhileFrozen::kYes &&
           !pending.request.has_command_disabled();
}
HostError given_up() {
    return generic_error("the agent has given up waiting for this request");
}
HostError restarted() {
    return generic_error("the agent was restarted while this request was under way");
}

}  // namespace

void Conversation::settle(const Owed& owed) {
    if (owed.half_line) parts_.output.text() += '\n';
    for (std::size_t at = 0; at < owed.replies; ++at) append_error(parts_.output.text(), restarted(), {});
}

bool Conversation::has_room() const {
    return parts_.journal.owed() < kMaxQueued && queued_size_ < kMaxQueuedSize &&
           parts_.output.size() <= kMaxUnsent;
}

Pending& Conversation::back() {
    return queue_[(front_ + queued_) % kMaxQueued];
}

void Conversation::push() {
    queued_size_ += back().size();
    ++queued_;
    parts_.journal.take();
}

// An empty queue restarts at its first place, the only one that keeps the memory of long requests.
void Conversation::pop() {
    queue_[front_].clear(front_ == 0 ? kKeptMemory : kKeptOfMany);
    front_ = --queued_ == 0 ? 0 : (front_ + 1) % kMaxQueued;
}

void Conversation::take_error(const std::string& text) {
    back().clear();
    append_error(back().reply, generic_error(text), {});
    push();
}

void Conversation::take_value(JsonDocument& document) {
    take_request(document, parts_.commands, back());
    if (back().is_sync && !is_idle()) back().arrival = Clock::now();
    push();
}

Status Conversation::take(Framing& framing) {
    while (has_room()) {
        Status done;
        switch (framing.next()) {
            case Framing::Event::kNothing:
                return {};
            case Framing::Event::kReset:
                done = give_up();
                break;
            case Framing::Event::kError:
                take_error(framing.error());
                break;
            case Framing::Event::kValue:
                take_value(framing.document());
                break;
        }
        if (done) done = advance();
        if (!done) return done;
    }
    return {};
}

// Answers from the front of the queue until the broker must be waited for.
Status Conversation::advance() {
    while (queued_ > 0 && !is_waiting()) {
        Pending& front = queue_[front_];
        queued_size_ -= front.size();
        if (const auto done = answer_next(front); !done) return done;
        pop();
    }
    return {};
}

Status Conversation::answer_next(Pending& next) {
    if (next.fate == Fate::kAnswered) {
        parts_.output.text() += next.reply;
        return {};
    }
    if (next.fate == Fate::kOfNow) {
        const bool is_freezing = state_ != State::kFree && (work_.command == CommandId::kFsfreezeFreeze ||
                                                            work_.command == CommandId::kFsfreezeFreezeList);
        parts_.commands.answer_of_now({.command = next.command, .id = next.id, .is_freezing = is_freezing},
                                      parts_.output.text());
        return {};
    }
    if (state_ == State::kFree) {
        std::swap(work_, next);
        state_ = State::kWorking;
        return parts_.ask.start(work_);
    }
    if (is_urgent(next) && !parts_.ask.has_urgent()) {
        std::swap(urgent_, next);
        state_ = State::kUrgent;
        return parts_.ask.start_urgent(urgent_);
    }
    append_error(parts_.output.text(), busy(), next.id);
    return {};
}

// A read whose reply has begun is ended as a short read, which is a valid reply, never half of one.
Status Conversation::give_up() {
    if (!is_waiting()) return {};
    if (state_ == State::kUrgent) {
        append_error(parts_.output.text(), given_up(), urgent_.id);
        state_ = State::kGivenUp;
        return {};
    }
    if (is_streaming_) {
        end_stream(streamed_, false);
    } else {
        append_error(parts_.output.text(), given_up(), work_.id);
    }
    state_ = State::kGivenUp;
    return release_parts();
}

std::optional<Clock::time_point> Conversation::deadline() const {
    if (!is_waiting() || !parts_.output.is_empty()) return std::nullopt;
    for (std::size_t at = 0; at < queued_; ++at) {
        const Pending& one = queue_[(front_ + at) % kMaxQueued];
        if (one.is_sync) return one.arrival + kPatience;
    }
    return std::nullopt;
}

Status Conversation::go_on() {
    if (parts_.output.size() <= kMaxUnsent)
        if (const auto released = release_parts(); !released) return released;
    const auto until = deadline();
    if (!until || Clock::now() < *until) return {};
    if (const auto done = give_up(); !done) return done;
    return advance();
}

Status Conversation::on_broker() {
    const auto event = parts_.ask.receive();
    if (!event) return std::unexpected(event.error());
    switch (*event) {
        case Ask::Event::kNothing:
            return {};
        case Ask::Event::kPart:
            return use_part();
        case Ask::Event::kFinished:
            return finish();
        case Ask::Event::kUrgent:
            return finish_urgent();
        case Ask::Event::kState:
            parts_.commands.set_frozen(parts_.ask.reply().frozen_state().frozen(),
                                       parts_.ask.reply().frozen_state().stuck());
            return {};
    }
    check_failed();
}

Status Conversation::use_part() {
    ++parts_held_;
    if (state_ != State::kWorking) return release_parts();
    std::string& out = parts_.output.text();
    if (!is_streaming_) {
        is_streaming_ = true;
        streamed_ = 0;
        out += kReplyStart;
        out += "{\"buf-b64\": \"";
    }
    encoder_.append(parts_.ask.data(), out);
    streamed_ += static_cast<std::int64_t>(parts_.ask.data().size());
    return parts_.output.size() <= kMaxUnsent ? release_parts() : Status();
}

Status Conversation::release_parts() {
    for (; parts_held_ > 0; --parts_held_)
        if (const auto sent = parts_.ask.release_part(); !sent) return sent;
    return {};
}

void Conversation::end_stream(std::int64_t count, bool eof) {
    std::string& out = parts_.output.text();
    encoder_.finish(out);
    out += "\", \"count\": ";
    append_integer(out, count);
    out += eof ? ", \"eof\": true}" : ", \"eof\": false}";
    end_reply(out, work_.id);
    is_streaming_ = false;
}

Status Conversation::finish() {
    parts_held_ = 0;
    const State was = std::exchange(state_, State::kFree);
    if (was != State::kWorking) {
        if (const auto told = parts_.ask.report_drop(); !told) return told;
        work_.clear();
        if (parts_.ask.has_urgent()) {
            std::swap(work_, urgent_);
            parts_.ask.promote(work_);
            state_ = was == State::kUrgent ? State::kWorking : State::kGivenUp;
        }
        return advance();
    }
    if (parts_.ask.reply().has_file_read()) {
        if (const auto done = finish_read(); !done) return done;
    } else if (is_streaming_) {
        return failure(Errc::kInvalid, "broker: no end of a file read");
    } else {
        append_reply(work_);
    }
    work_.clear();
    return advance();
}

Status Conversation::finish_urgent() {
    if (state_ == State::kUrgent) {
        append_reply(urgent_);
    } else if (const auto told = parts_.ask.report_drop(); !told) {
        return told;
    }
    state_ = State::kGivenUp;
    urgent_.clear();
    return advance();
}

void Conversation::append_reply(const Pending& work) {
    const ipc::Reply& reply = parts_.ask.reply();
    std::string& out = parts_.output.text();
    if (reply.has_error())
        return append_error(out, host_error(reply.error(), work.request, command_row(work.command).name),
                            work.id);
    if (reply.has_relayed()) return append_inspected(work);
    if (command_row(work.command).success_reply == SuccessReply::kNone) return;
    const auto& reflection = *reply.GetReflection();
    const auto* field = reflection.GetOneofFieldDescriptor(reply, reply.GetDescriptor()->oneof_decl(0));
    append_success(out, reflection.GetMessage(reply, field), work.id);
}

// Nothing of an inspector's reply reaches the host unless all of it is valid.
void Conversation::append_inspected(const Pending& work) {
    const auto* field = parts_.commands.inspected_field(work.command);
    SALLYPORT_CHECK(field != nullptr);
    schema::Inspected inspected;
    const auto* result = take_inspected(parts_.ask.reply().relayed().inspected(), *field, inspected);
    if (result != nullptr) return append_success(parts_.output.text(), *result, work.id);
    append_error(parts_.output.text(), generic_error("the guest's state could not be read"), work.id);
}

Status Conversation::finish_read() {
    const std::span<const std::byte> data = parts_.ask.data();
    const schema::FileReadReply& result = parts_.ask.reply().file_read();
    const auto had = is_streaming_ ? streamed_ : 0;
    if (result.count() != had + static_cast<std::int64_t>(data.size()))
        return failure(Errc::kInvalid, "broker: a wrong count");
    if (is_streaming_) {
        encoder_.append(data, parts_.output.text());
        end_stream(result.count(), result.eof());
        return {};
    }
    std::string& out = parts_.output.text();
    out += kReplyStart;
    out += "{\"count\": ";
    append_integer(out, result.count());
    out += ", \"buf-b64\": \"";
    encoder_.append(data, out);
    encoder_.finish(out);
    out += result.eof() ? "\", \"eof\": true}" : "\", \"eof\": false}";
    end_reply(out, work_.id);
    return {};
}

}  // namespace sallyport::worker
