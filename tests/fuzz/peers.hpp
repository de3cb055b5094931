// The processes that the broker talks to, played by the fuzzer: they keep their contracts, in any order and at any time.
#pragma once

#include <deque>
#include <optional>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/guard.pb.h"
#include "ipc/inspected.hpp"
#include "ipc/inspector.pb.h"
#include "ipc/nursery.pb.h"
#include "ipc/ring.hpp"
#include "tests/fuzz/draw.hpp"

namespace sallyport::fuzz {

/// One end of a socket pair.
class Peer {
public:
    /// Makes the pair and gives back the broker's end.
    UniqueFd connect();
    void say(const google::protobuf::MessageLite& message) const;
    /// Takes the broker's next frame, if there is one, into `frame`.
    bool hear();
    template <typename Message>
    std::optional<Message> hear_message() {
        if (!hear()) return std::nullopt;
        Message message;
        std::string scratch;
        promise(ipc::decode(frame.bytes, message, scratch).has_value(), "the broker's frames are canonical");
        return message;
    }
    UniqueFd socket;
    ipc::Frame frame;
};

/// The guard takes one order at a time, and thaws by itself when it likes to.
class PlayedGuard : public Peer {
public:
    /// Takes what the broker has ordered to its queue.
    void take_orders();
    [[nodiscard]] bool is_busy() const {
        return !orders_.empty() || freezing_ || is_trimming_ || is_thawing_;
    }
    [[nodiscard]] bool has_frozen() const { return freezing_ || frozen_ > 0; }
    /// Does one thing that a guard in this state could do now. False if it has nothing to say.
    bool act(Draw& draw);
    /// Does what is needed to come to rest with everything thawed.
    bool come_to_rest();

private:
    void carry_out(const ipc::GuardRequest& order, Draw& draw);
    void end_freeze(Draw& draw);
    void say_failed(int sys_errno, const char* mount) const;
    void say_thawed(ipc::Thawed::Cause cause, std::uint32_t left);
    std::deque<ipc::GuardRequest> orders_;
    std::optional<ipc::Freeze> freezing_;
    std::uint32_t frozen_ = 0;
    std::uint64_t number_ = 0;  // of the freeze
    bool is_trimming_ = false;
    bool is_thawing_ = false;  // a thaw was ordered that takes long
};

/// The child of the inspector may have been taken over: it says what it likes, whether it was asked or not.
class PlayedInspector : public Peer {
public:
    /// THE PROMISES: a child is asked within the hours of the command's rule, and the broker's time never runs backwards.
    void take_orders();
    void act(Draw& draw);
    /// What no honest child does: parts of any size, of two answers, before it is asked, with a descriptor; a frame that is
    /// too long, or empty; half a close; a word of the child before.
    void lie(Draw& draw);
    bool is_taken_over = false;

private:
    [[nodiscard]] std::string answer(Draw& draw) const;
    void say(ipc::Word word, std::string_view rest) const;
    void say_parts(std::string_view rest, bool ends) const;
    void say_raw(std::string_view bytes, bool with_descriptor) const;
    UniqueFd child_;
    UniqueFd former_;  // the child before, which was to be killed and lives on
    ipc::Query query_;
    bool may_be_repeated_ = false;  // what comes next may be the query before, for another child
};

/// The recorder takes lines out of the ring, unless it is held or its disk hangs.
class PlayedRecorder : public Peer {
public:
    /// Makes the broker's ring, and maps it.
    ipc::Ring make_ring();
    /// Takes what there is, says what is on the disk, and goes to sleep. THE PROMISES: it is woken when there is something to take,
    /// and when it is no longer held.
    void act();
    /// Once the broker is gone.
    void take_all();
    [[nodiscard]] const std::string& log() const { return log_; }
    [[nodiscard]] bool is_held() const { return ring_->words().is_held != 0; }
    /// Bytes of the ring that no line uses.
    [[nodiscard]] std::size_t room() const { return kLogRing - (ring_->words().put - position_); }
    bool is_stuck = false;  // its disk takes nothing

private:
    std::optional<ipc::Ring> ring_;
    std::uint64_t position_ = 0;
    std::string log_;
    bool is_asleep_ = false;
    bool was_held_ = false;
};

/// What the nursery was told.
class PlayedNursery : public Peer {
public:
    void take_orders();
    std::uint64_t started = 0;  // number of the last worker; 0: none lives
    bool is_told_to_kill = false;
    UniqueFd worker_socket;
    UniqueFd arena;
};

}  // namespace sallyport::fuzz
