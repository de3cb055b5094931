// The broker's reasons, in qemu-ga's words.
// Runs in:  worker
#pragma once

#include <string_view>

#include "ipc/broker.pb.h"
#include "worker/host_error.hpp"

namespace sallyport::worker {

/// What the host is told when the broker answers `request`, made from `command`, with `error`.
HostError host_error(const ipc::Error& error, const ipc::Request& request, std::string_view command);

}  // namespace sallyport::worker
