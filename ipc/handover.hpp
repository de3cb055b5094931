// A frame that comes with descriptors: the broker hands the nursery what a new worker is to have, and passes open files to and from
// the files hand.
// Runs in:  broker and files, which give and take; nursery, which takes
// INVARIANT: descriptors travel from broker to nursery, and between broker and files, only. A worker has neither sendmsg() nor
// recvmsg(). tests/sandbox reads this from the tables.
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
