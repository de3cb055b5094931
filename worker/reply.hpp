// Reply lines for the host.
// Runs in:  worker
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <string_view>

#include "worker/host_error.hpp"

namespace sallyport::worker {

inline constexpr std::string_view kReplyStart = "{\"return\": ";

/// Ends a reply that began with kReplyStart. `id` is the host's, as JSON text, or empty.
void end_reply(std::string& out, std::string_view id);

/// Appends a whole successful reply.
void append_success(std::string& out, const google::protobuf::Message& result, std::string_view id);

/// Appends a whole error reply. The id comes first, as in qemu-ga.
void append_error(std::string& out, const HostError& error, std::string_view id);

}  // namespace sallyport::worker
