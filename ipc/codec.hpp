// Frames to messages and back.
// Runs in:  broker, nursery, worker
// Input:    whatever the peer put into a frame
#pragma once

#include <google/protobuf/message_lite.h>

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sallyport::ipc {

/// The encoding of `message`, written into `bytes`.
void encode(const google::protobuf::MessageLite& message, std::string& bytes);

/// Fills `message` from a frame in the one form that encode() writes.
///
/// THREAT: a peer that has been taken over sends unknown fields, repeated fields or over-long numbers, hoping that
/// two readers understand them differently. Unknown fields fail to parse (schema/strict_lite.sh); what is decoded is
/// encoded again and must be the same bytes. `scratch` is a buffer to reuse. Errors: kInvalid.
Status decode(std::string_view frame, google::protobuf::MessageLite& message, std::string& scratch);

/// Keeps libprotobuf from printing bytes of a peer on standard error. Once, at start.
void silence_protobuf();

}  // namespace sallyport::ipc
