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
    kAnswered,  // the reply is known already
    kOfNow,     // the worker, by what the broker said last before the request's turn comes
    kAsk,       // the broker
};

/// A request that waits for its turn. Objects are used again; their buffers keep their memory.
struct Pending {
    Fate fate = Fate::kAnswered;
    bool is_sync = false;
    CommandId command = CommandId::kPing;
    Clock::time_point arrival;    // of a sync
    std::string reply;            // kAnswered: the whole line
    std::string id;               // the host's `id` as JSON text, or empty
    ipc::Request request;         // kAsk: with its command, without a seq
    std::string text;             // file write: holds the data, in base64
    std::size_t data_offset = 0;  // where it is in `text`
    std::size_t data_length = 0;  // and its characters
    std::size_t data_size = 0;    // the bytes that it stands for
    std::size_t request_size = 0;

    /// Memory that it holds for the host.
    [[nodiscard]] std::size_t size() const { return reply.size() + id.size() + text.size() + request_size; }
    [[nodiscard]] std::string_view data() const {
        return std::string_view(text).substr(data_offset, data_length);
    }

    /// Its text keeps memory of at most `kept` bytes.
    void clear(std::size_t kept = kKeptMemory);
};

/// Wipes the password that the request has, if it has one.
void forget_secret(ipc::Request& request);

/// Makes of a value either an answer or a request to the broker. The document's text may be moved away.
void take_request(JsonDocument& document, Commands& commands, Pending& pending);

}  // namespace sallyport::worker
