// JSON to messages and back, by reflection; schema/guest_agent.proto says how.
// Runs in:  worker
// Input:    arguments of the host
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <optional>
#include <string>
#include <string_view>

#include "worker/host_error.hpp"
#include "worker/json_value.hpp"

namespace sallyport::worker {

/// Which names of members are known.
enum class Dialect : std::uint8_t { kCurrent, kPreview };

/// A base64 string that is not copied into the message: it may be long, and goes through the arena.
struct BulkText {
    const google::protobuf::FieldDescriptor* field = nullptr;  // in: which field is meant
    std::string_view text;                                     // out: as the host wrote it
    std::size_t size = 0;                                      // out: the bytes that it stands for
};

/// Fills `message` from the object `arguments`, which may be absent. The first thing wrong in the order of
/// declaration is what the host is told; then members nobody declared; then data that is no base64.
std::optional<HostError> take_message(std::optional<JsonValue> arguments, google::protobuf::Message& message,
                                      Dialect dialect, BulkText& bulk);

/// Appends a reply's value: an object, or what its field "return" holds.
void append_message(std::string& out, const google::protobuf::Message& message);

/// The JSON name of an enum's value: lower case, '-' for '_'.
std::string enum_text(const google::protobuf::EnumValueDescriptor& value);

}  // namespace sallyport::worker
