// Frames with descriptors over a SOCK_SEQPACKET socketpair.
// Runs in:  every process
// Input:    whatever the peer put into a frame
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"

namespace sallyport::ipc {

struct Frame {
    std::string bytes;
    std::vector<UniqueFd> fds;  // closed unless taken
};

/// A connected pair of SOCK_SEQPACKET sockets, close-on-exec and non-blocking.
Result<std::pair<UniqueFd, UniqueFd>> socket_pair();

/// Sends one frame with copies of `fds`. Waits while the socket is full.
/// Errors: kLimit over kMaxFrame, kClosed if the peer is gone, kSystem otherwise.
Status send(FdRef socket, std::string_view bytes, std::span<const FdRef> fds = {});

/// Takes one frame into `frame`, whose buffers are reused. False if there is none yet.
///
/// THREAT: a peer sends descriptors nobody asked for, or a frame cut off. Descriptors are always received, owned and
/// so closed; a frame over kMaxFrame bytes or kMaxFrameDescriptors descriptors is kLimit.
/// Errors: kClosed at end of file, kLimit, kSystem.
Result<bool> receive(FdRef socket, Frame& frame);

}  // namespace sallyport::ipc
