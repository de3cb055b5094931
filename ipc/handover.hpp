// A frame that comes with descriptors: how the broker hands the nursery what a new worker is to have.
// Runs in:  broker, which gives; nursery, which takes
// INVARIANT: descriptors travel in this direction only. sendmsg() is in the broker's table of system calls alone,
// recvmsg() in the nursery's alone, and a worker has neither.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "ipc/channel.hpp"

namespace sallyport::ipc {

/// Sends one frame with copies of `fds`, at most kMaxFrameDescriptors. Errors: kLimit if the socket is full, kSystem.
Status give(FdRef socket, std::string_view bytes, std::span<const FdRef> fds);

/// Takes one frame, and the descriptors that come with it into `fds`. False if there is none yet.
/// Errors: kClosed at end of file, kLimit if the frame or the number of descriptors is over its limit, kSystem.
Result<bool> take(FdRef socket, Frame& frame, std::vector<UniqueFd>& fds);

}  // namespace sallyport::ipc
