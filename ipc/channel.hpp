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

/// Frees a buffer, and wipes what it has held: one frame may have brought a secret.
struct FreeBuffer {
    std::size_t used = 0;  // the longest frame so far
    void operator()(char* buffer) const;
};

/// INVARIANT: nobody writes to the buffer but the kernel, what a peer has sent, and nothing else of it is ever touched: a process that
/// hears short frames uses little memory.
struct Frame {
    std::string_view bytes;                      // in `buffer`
    std::unique_ptr<char[], FreeBuffer> buffer;  // of kMaxFrame bytes, reused from frame to frame
};

/// The buffer, empty of any frame.
std::span<char> clear(Frame& frame);

/// The first `size` bytes of the buffer, which were received.
void hold(Frame& frame, std::size_t size);

/// Wipes what the frame has brought: a secret.
void wipe(Frame& frame);

/// A connected pair of SOCK_SEQPACKET sockets, close-on-exec. Nobody waits on them but who says so.
Result<std::pair<UniqueFd, UniqueFd>> socket_pair();

/// What to do while the peer's socket is full. A process that must not depend on its peer does not wait.
enum class WhenFull : std::uint8_t { kWait, kFail };

/// Sends one frame. Errors: kLimit over kMaxFrame bytes, or if the socket is full (kFail); kClosed if the peer is gone; kSystem
/// otherwise.
Status send(FdRef socket, std::string_view bytes, WhenFull when_full);

/// What to do while there is no frame. Who hears nobody else waits here.
enum class WhenEmpty : std::uint8_t { kWait, kReturn };

/// Receives one frame into `frame`, whose buffer is reused. False if there is none yet (kReturn).
///
/// THREAT: a peer sends a frame that is too long. The kernel cuts it off and says so. Frames that a peer sent before it closed
/// are still returned, then kClosed. Errors: kClosed at end of file, kLimit over kMaxFrame bytes, kSystem.
Result<bool> receive(FdRef socket, Frame& frame, WhenEmpty when_empty = WhenEmpty::kReturn);

}  // namespace sallyport::ipc
