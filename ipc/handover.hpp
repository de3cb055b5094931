// Frames with descriptors: the broker gives the nursery those of a new worker and the inspector that of a new child, and
// exchanges open files with the files hand.
// Runs in:  broker and files (give and take), nursery and inspector (take)
// INVARIANT: descriptors travel only from broker to nursery and inspector, and between broker and files. A worker has neither sendmsg() nor
// recvmsg(); tests/sandbox reads this from the tables.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "ipc/channel.hpp"

namespace sallyport::ipc {

/// Sends one frame with copies of `fds`, at most kMaxFrameDescriptors. Errors: kLimit if the socket is full, kSystem.
Status give(FdRef socket, std::string_view bytes, std::span<const FdRef> fds);

/// Receives one frame, and its descriptors into `fds`. False if there is none yet (kReturn). Errors: kClosed at end of file, kLimit if the
/// frame or the number of descriptors is over its limit, kSystem.
Result<bool> take(FdRef socket, Frame& frame, std::vector<UniqueFd>& fds,
                  WhenEmpty when_empty = WhenEmpty::kReturn);

}  // namespace sallyport::ipc
