// JSON to messages and back, by reflection; schema/guest_agent.proto has the rules.
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

/// The accepted argument names.
enum class Dialect : std::uint8_t { kCurrent, kPreview };

/// A base64 string that is not copied into the message: it may be long, and goes through the arena.
struct BulkText {
    const google::protobuf::FieldDescriptor* field = nullptr;  // in: the field
    std::string_view text;                                     // out: as the host wrote it
    std::size_t size = 0;                                      // out: its decoded size
};

/// Fills `message` from the object `arguments`, which may be absent. The host is told the first error: in order of declaration,
/// then undeclared members, then invalid base64.
std::optional<HostError> take_message(std::optional<JsonValue> arguments, google::protobuf::Message& message,
                                      Dialect dialect, BulkText& bulk);

/// Appends the value of a reply: an object, or the value of its field "return".
void append_message(std::string& out, const google::protobuf::Message& message);

/// The JSON name of an enum value: lower case, '-' for '_'.
std::string enum_text(const google::protobuf::EnumValueDescriptor& value);

}  // namespace sallyport::worker
