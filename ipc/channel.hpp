// Frames with descriptors over a SOCK_SEQPACKET socketpair.
// Runs in:  every process
// Input:    whatever the peer put into a frame
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ipc/result.hpp"
#include "ipc/unique_fd.hpp"

namespace sallyport::ipc {

struct Frame {
    std::string_view bytes;     // in `buffer`
    std::vector<UniqueFd> fds;  // closed unless taken
    std::string buffer;         // reused from frame to frame
};

/// A connected pair of SOCK_SEQPACKET sockets, close-on-exec and non-blocking.
Result<std::pair<UniqueFd, UniqueFd>> socket_pair();

/// What to do while the peer has not yet read what was sent before. Who must not depend on the peer does not
/// wait.
enum class WhenFull : std::uint8_t { kWait, kFail };

/// Sends one frame with copies of `fds`.
/// Errors: kLimit over kMaxFrame, or if the socket is full (kFail); kClosed if the peer is gone; kSystem
/// otherwise.
Status send(FdRef socket, std::string_view bytes, WhenFull when_full, std::span<const FdRef> fds = {});

/// Takes one frame into `frame`, whose buffers are reused. False if there is none yet.
///
/// THREAT: a peer sends descriptors nobody asked for, or a frame cut off. Descriptors are always received,
/// owned and so closed; a frame over kMaxFrame bytes or kMaxFrameDescriptors descriptors is kLimit. Errors:
/// kClosed at end of file, kLimit, kSystem.
Result<bool> receive(FdRef socket, Frame& frame);

}  // namespace sallyport::ipc
