// One request of the host, from its JSON to what is to be done about it.
// Runs in:  worker
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "ipc/broker.pb.h"
#include "worker/commands.hpp"
#include "worker/kept.hpp"

namespace sallyport::worker {

using Clock = std::chrono::steady_clock;

/// Who answers a request, and when.
enum class Fate : std::uint8_t {
    kAnswered,  // the reply is already known
    kOfNow,     // the worker, when it is the request's turn, by what the broker said last
    kAsk,       // the broker
};

/// A request that waits for its turn. Objects are reused; their buffers keep their memory.
struct Pending {
    Fate fate = Fate::kAnswered;
    bool is_sync = false;
    CommandId command = CommandId::kPing;
    Clock::time_point arrival;    // of a sync
    std::string reply;            // kAnswered: the whole line
    std::string id;               // the host's `id` as JSON text, or empty
    ipc::Request request;         // kAsk: with its command, without a seq
    std::string text;             // file write: contains the data, in base64
    std::size_t data_offset = 0;  // where the data is in `text`
    std::size_t data_length = 0;  // characters of data
    std::size_t data_size = 0;    // decoded bytes
    std::size_t request_size = 0;

    /// The memory that it holds for the host.
    [[nodiscard]] std::size_t size() const { return reply.size() + id.size() + text.size() + request_size; }
    [[nodiscard]] std::string_view data() const {
        return std::string_view(text).substr(data_offset, data_length);
    }

    /// Afterwards its text has at most `kept` bytes of memory.
    void clear(std::size_t kept = kKeptMemory);
};

/// Wipes the password that the request has, if it has one.
void forget_secret(ipc::Request& request);

/// Turns a value into a reply or a request to the broker. May take the text out of the document.
void take_request(JsonDocument& document, Commands& commands, Pending& pending);

}  // namespace sallyport::worker
