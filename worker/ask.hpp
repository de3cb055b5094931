// The conversation with the broker: one request at a time, with file contents in parts through the arena. While a request that
// the host has given up is still at work, one more, urgent request is possible: the frozen state must be reported, and ended, at
// once.
// Runs in:  worker
// Input:    replies of the broker, which is trusted; a frame that is not a reply to the request is the broker's bug, and ends the
// worker
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.hpp"
#include "ipc/arena.hpp"
#include "ipc/broker.pb.h"
#include "ipc/channel.hpp"
#include "worker/base64.hpp"
#include "worker/request.hpp"

namespace sallyport::worker {

class Ask {
public:
    enum class Event : std::uint8_t {
        kNothing,   // there is no frame
        kPart,      // file read: data() is a part; call release_part() after it
        kFinished,  // reply() is the answer; data() is the last part of a file read, or empty
        kUrgent,    // reply() is the answer to the urgent request
        kState,     // reply() tells, unasked, whether file systems are frozen
    };

    Ask(FdRef socket, const ipc::Arena& arena) : socket_(socket), arena_(arena) {}

    /// Sends Hello. Errors: as ipc::send().
    Status greet();
    /// Receives the answer to Hello, if it has come. Errors: kInvalid if it is not Welcome, and those of ipc::receive().
    Result<bool> receive_welcome(ipc::Welcome& welcome);

    /// Sends the request of `work`, which must not move until kFinished.
    Status start(const Pending& work);
    [[nodiscard]] bool is_busy() const { return work_ != nullptr; }
    /// The same for an urgent request, beside the one at work. It has no contents in the arena.
    Status start_urgent(const Pending& work);
    [[nodiscard]] bool has_urgent() const { return urgent_ != nullptr; }
    /// The request at work has ended. The urgent one, which is at `work` now, takes its place.
    void promote(const Pending& work);

    /// Receives the broker's next frame. Errors: kInvalid if it broke the contract, and those of ipc::receive().
    Result<Event> receive();
    [[nodiscard]] const ipc::Reply& reply() const { return reply_; }
    [[nodiscard]] std::span<const std::byte> data() const { return data_; }

    /// A part has been used; the broker can fill its chunk again.
    Status release_part();
    /// Reports that reply() was discarded, since the host had given up waiting for it.
    Status report_drop();

private:
    Status send(const ipc::Request& request);
    Result<bool> receive_reply();
    Result<Event> take_reply();
    Result<Event> take_reply_part();
    [[nodiscard]] bool is_answer(const Pending& work) const;
    Status take_data();
    Status send_secret();
    void put_apart(google::protobuf::Message& message);
    Status put_output();
    void fill_part(ipc::Extent& extent);
    Status send_parts();

    FdRef socket_;
    const ipc::Arena& arena_;
    std::uint64_t seq_ = 0;  // the last number used
    std::uint64_t work_seq_ = 0;
    std::uint64_t urgent_seq_ = 0;
    const Pending* work_ = nullptr;
    const Pending* urgent_ = nullptr;
    // File write: the remaining data, the chunk for the next part, and the number of unacknowledged parts.
    Base64Decoder outgoing_;
    std::size_t outgoing_left_ = 0;
    std::size_t next_chunk_ = 0;
    std::size_t unacknowledged_ = 0;
    std::span<const std::byte> data_;
    std::string whole_;  // what has arrived of a reply in parts
    // Reused buffers.
    ipc::Request request_;
    ipc::Reply reply_;
    ipc::Frame frame_;
    std::string bytes_;
};

}  // namespace sallyport::worker
