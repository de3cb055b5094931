// Runs in:  every process
// Relies on: the kernel to keep frame boundaries
#include "ipc/channel.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "ipc/limits.hpp"

namespace sallyport::ipc {

namespace {

Status wait_until_writable(FdRef socket) {
    pollfd wanted{.fd = socket.get(), .events = POLLOUT, .revents = 0};
    if (::ppoll(&wanted, 1, nullptr, nullptr) < 0 && errno != EINTR) return system_error("ppoll");
    return {};
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> socket_pair() {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0)
        return system_error("socketpair");
    return std::pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Status send(FdRef socket, std::string_view bytes, WhenFull when_full) {
    if (bytes.size() > kMaxFrame) return failure(Errc::kLimit, "send: frame too large");
    for (;;) {
        if (::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
        if (errno == EAGAIN) {
            if (when_full == WhenFull::kFail) return failure(Errc::kLimit, "send: peer does not read");
            if (const auto waited = wait_until_writable(socket); !waited) return waited;
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return failure(Errc::kClosed, "send: peer is gone");
        } else if (errno != EINTR) {
            return system_error("send");
        }
    }
}

void FreeBuffer::operator()(char* buffer) const {
    ::explicit_bzero(buffer, used);
    std::free(buffer);
}

std::span<char> clear(Frame& frame) {
    frame.bytes = {};
    if (!frame.buffer) frame.buffer.reset(static_cast<char*>(std::malloc(kMaxFrame)));
    SALLYPORT_CHECK(frame.buffer);
    return {frame.buffer.get(), kMaxFrame};
}

void hold(Frame& frame, std::size_t size) {
    std::size_t& used = frame.buffer.get_deleter().used;
    used = std::max(used, size);
    frame.bytes = std::string_view(frame.buffer.get(), size);
}

void wipe(Frame& frame) {
    ::explicit_bzero(frame.buffer.get(), frame.bytes.size());
    frame.bytes = {};
}

Result<bool> receive(FdRef socket, Frame& frame, WhenEmpty when_empty) {
    const std::span<char> room = clear(frame);
    const int flags = when_empty == WhenEmpty::kWait ? MSG_TRUNC : MSG_TRUNC | MSG_DONTWAIT;
    ssize_t got = 0;
    // A peer that closed without reading everything causes ECONNRESET once; what it sent can be read after that.
    do got = ::recv(socket.get(), room.data(), room.size(), flags);
    while (got < 0 && (errno == ECONNRESET || errno == EINTR));
    if (got < 0 && errno == EAGAIN) return false;
    if (got < 0) return system_error("recv");
    // An empty frame looks like end of file. None of our messages is encoded to nothing.
    if (got == 0) return failure(Errc::kClosed, "receive: peer is gone");
    // With MSG_TRUNC the kernel returns the full length of a frame that it cut off.
    if (static_cast<std::size_t>(got) > kMaxFrame) {
        hold(frame, kMaxFrame);
        return failure(Errc::kLimit, "receive: frame too large");
    }
    hold(frame, static_cast<std::size_t>(got));
    return true;
}

}  // namespace sallyport::ipc
