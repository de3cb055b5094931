// Frames over a SOCK_SEQPACKET socketpair.
// Runs in:  every process
// Input:    frames of the peer
// INVARIANT: no descriptor comes with a frame: the calls used here cannot carry one. ipc/handover.hpp says who passes
// descriptors.
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

/// What to do while the peer's socket is full. A process that must not depend on its peer does not wait.
enum class WhenFull : std::uint8_t { kWait, kFail };

/// Sends one frame. Errors: kLimit over kMaxFrame bytes, or if the socket is full (kFail); kClosed if the peer is gone; kSystem
/// otherwise.
Status send(FdRef socket, std::string_view bytes, WhenFull when_full);

/// Receives one frame into `frame`, whose buffer is reused. False if there is none yet.
///
/// THREAT: a peer sends a frame that is too long. The kernel cuts it off and says so. Frames that a peer sent before it closed
/// are still returned, then kClosed. Errors: kClosed at end of file, kLimit over kMaxFrame bytes, kSystem.
Result<bool> receive(FdRef socket, Frame& frame);

}  // namespace sallyport::ipc
