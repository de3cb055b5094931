// Which request is answered when: replies come in the order of requests, and a sync is always answered.
// Runs in:  worker
// Input:    values from the host, replies from the broker
//
// At most one request is at work in the broker. Later ones wait in a queue, even if they need no broker, since replies come in
// order. When the host resets the conversation with 0xFF, or a sync has waited too long, the request at work is given up: the
// host gets a line in its place. Until the broker's late reply has come and been discarded, whatever needs the broker is answered
// "busy" at once; only the frozen state can be asked for, and a thaw ordered, beside it.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "ipc/limits.hpp"
#include "worker/ask.hpp"
#include "worker/base64.hpp"
#include "worker/commands.hpp"
#include "worker/framing.hpp"
#include "worker/journal.hpp"
#include "worker/output.hpp"
#include "worker/request.hpp"

namespace sallyport::worker {

class Conversation {
public:
    /// All belong to the caller and outlive the conversation.
    struct Parts {
        Commands& commands;
        Ask& ask;
        Output& output;
        Journal& journal;
    };
    explicit Conversation(const Parts& parts) : parts_(parts) {}

    /// Answers for a predecessor that ended in the middle of something.
    void settle(const Owed& owed);

    /// Takes requests while there are any and has_room(). Errors: those of the broker's socket.
    Status take(Framing& framing);

    /// Whether another request can be read. If not, the host must first read replies, or wait.
    [[nodiscard]] bool has_room() const;

    /// Takes one frame of the broker, so that its contents are written to the host before the next frame is read. Errors:
    /// kClosed, kInvalid, kSystem; the worker must end.
    Status on_broker();

    /// Output was written or time has passed: does what is possible now.
    Status go_on();

    /// When a waiting sync runs out of patience, if one waits for the broker. None while the host does not read its replies,
    /// since then everything waits for the host.
    [[nodiscard]] std::optional<Clock::time_point> deadline() const;

    /// Whether nothing is left to answer.
    [[nodiscard]] bool is_idle() const { return !is_waiting() && queued_ == 0; }

private:
    enum class State : std::uint8_t {
        kFree,     // the broker has no request of ours
        kWorking,  // on work_, for the host
        kGivenUp,  // on work_, whose reply nobody wants any more
        kUrgent,   // on that too, and on urgent_, for the host
    };

    [[nodiscard]] bool is_waiting() const { return state_ == State::kWorking || state_ == State::kUrgent; }
    Pending& back();
    void push();
    void pop();
    void take_error(const std::string& text);
    void take_value(JsonDocument& document);
    Status advance();
    Status give_up();
    Status use_part();
    Status answer_next(Pending& next);
    Status finish();
    Status finish_urgent();
    void append_reply(const Pending& work);
    void append_inspected(const Pending& work);
    Status finish_read();
    void end_stream(std::int64_t count, bool eof);
    Status release_parts();

    Parts parts_;
    State state_ = State::kFree;
    Pending work_;
    Pending urgent_;
    // The queue, a ring buffer.
    std::array<Pending, kMaxQueued> queue_;
    std::size_t front_ = 0;
    std::size_t queued_ = 0;
    std::size_t queued_size_ = 0;
    // The reply to a file read that comes in several parts.
    bool is_streaming_ = false;
    Base64Encoder encoder_;
    std::int64_t streamed_ = 0;
    std::size_t parts_held_ = 0;  // used parts; the broker is told of them when the host has read on
};

}  // namespace sallyport::worker
