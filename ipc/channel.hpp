// Frames over a SOCK_SEQPACKET socketpair.
// Runs in:  every process
// Input:    whatever the peer put into a frame
// INVARIANT: no descriptor comes with a frame. The calls used here have no place for one; ipc/handover.hpp says who gives and takes
// any.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sallyport::ipc {

/// INVARIANT: nobody writes to the buffer but the kernel, what a peer has sent: a process that hears short frames uses little of it.
struct Frame {
    std::string_view bytes;          // in `buffer`
    std::unique_ptr<char[]> buffer;  // of kMaxFrame bytes, reused from frame to frame
};

/// The buffer, empty of any frame.
std::span<char> clear(Frame& frame);

/// Wipes what the frame has brought: a secret.
void wipe(Frame& frame);

/// A connected pair of SOCK_SEQPACKET sockets, close-on-exec and non-blocking.
Result<std::pair<UniqueFd, UniqueFd>> socket_pair();

/// What to do while the peer has not yet read what was sent before. Who must not depend on the peer does not
/// wait.
enum class WhenFull : std::uint8_t { kWait, kFail };

/// Sends one frame.
/// Errors: kLimit over kMaxFrame, or if the socket is full (kFail); kClosed if the peer is gone; kSystem
/// otherwise.
Status send(FdRef socket, std::string_view bytes, WhenFull when_full);

/// Takes one frame into `frame`, whose buffer is reused. False if there is none yet.
///
/// THREAT: a peer sends a frame that is too long; it is cut off by the kernel, which says so. What a peer sent before it
/// went away is still given, then kClosed. Errors: kClosed at end of file, kLimit over kMaxFrame bytes, kSystem.
Result<bool> receive(FdRef socket, Frame& frame);

}  // namespace sallyport::ipc
