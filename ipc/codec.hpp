// Frames to messages and back.
// Runs in:  every process that speaks protobuf
// Input:    frames of the peer
#pragma once

#include <google/protobuf/message_lite.h>

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "ipc/channel.hpp"

namespace sallyport::ipc {

/// Encodes `message` into `bytes`.
void encode(const google::protobuf::MessageLite& message, std::string& bytes);

/// Decodes `message` from a frame. Only the form that encode() writes is accepted.
///
/// THREAT: a peer that was taken over sends unknown fields, repeated fields or over-long numbers, which two readers could
/// understand differently. Unknown fields fail to parse (schema/strict_lite.sh); the decoded message is encoded again and must
/// give the same bytes. `scratch` is a buffer to reuse. Errors: kInvalid.
Status decode(std::string_view frame, google::protobuf::MessageLite& message, std::string& scratch);

/// Encodes and sends one message. Errors: as send().
Status say(FdRef socket, const google::protobuf::MessageLite& message, WhenFull when_full);

/// Receives one frame into `frame`, whose buffer is reused, and decodes it. False if there is none yet. Errors: as receive() and decode().
Result<bool> hear(FdRef socket, google::protobuf::MessageLite& message, Frame& frame);

/// Keeps libprotobuf from printing a peer's bytes to standard error. Call it once, at start.
void silence_protobuf();

}  // namespace sallyport::ipc
