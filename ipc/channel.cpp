// Frames with descriptors over a SOCK_SEQPACKET socketpair.
// Runs in:  every process
// Input:    whatever the peer put into a frame
// Relies on: the kernel keeping frame boundaries
#include "ipc/channel.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "ipc/limits.hpp"

namespace sallyport {

std::unexpected<Error> system_error(const char* what) {
    return std::unexpected(Error{Errc::kSystem, what, errno});
}

}  // namespace sallyport

namespace sallyport::ipc {

namespace {

// A frame with more descriptors than this is cut off by the kernel, which says so and closes the rest.
constexpr std::size_t kControlSize = CMSG_SPACE(sizeof(int) * kMaxFrameDescriptors);

struct ControlBuffer {
    alignas(cmsghdr) std::array<char, kControlSize> bytes{};
};

void take_descriptors(msghdr& message, std::vector<UniqueFd>& fds) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t at = 0; at < count; ++at) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + at * sizeof(int), sizeof fd);
            fds.emplace_back(fd);
        }
    }
}

Status wait_until_writable(FdRef socket) {
    pollfd wanted{.fd = socket.get(), .events = POLLOUT, .revents = 0};
    if (::ppoll(&wanted, 1, nullptr, nullptr) < 0 && errno != EINTR) return system_error("ppoll");
    return {};
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> socket_pair() {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()) != 0)
        return system_error("socketpair");
    return std::pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Status send(FdRef socket, std::string_view bytes, WhenFull when_full, std::span<const FdRef> fds) {
    if (bytes.size() > kMaxFrame || fds.size() > kMaxFrameDescriptors)
        return failure(Errc::kLimit, "send: frame too large");
    iovec part{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    ControlBuffer control;
    if (!fds.empty()) {
        message.msg_control = control.bytes.data();
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
        for (std::size_t at = 0; at < fds.size(); ++at) {
            const int fd = fds[at].get();
            std::memcpy(CMSG_DATA(header) + at * sizeof(int), &fd, sizeof fd);
        }
    }
    for (;;) {
        if (::sendmsg(socket.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
        if (errno == EAGAIN) {
            if (when_full == WhenFull::kFail) return failure(Errc::kLimit, "send: peer does not read");
            if (const auto waited = wait_until_writable(socket); !waited) return waited;
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return failure(Errc::kClosed, "send: peer is gone");
        } else if (errno != EINTR) {
            return system_error("sendmsg");
        }
    }
}

Result<bool> receive(FdRef socket, Frame& frame) {
    frame.fds.clear();
    frame.bytes = {};
    frame.buffer.resize(kMaxFrame);
    iovec part{.iov_base = frame.buffer.data(), .iov_len = frame.buffer.size()};
    ControlBuffer control;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    const ssize_t got = ::recvmsg(socket.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) return false;
        if (errno == ECONNRESET) return failure(Errc::kClosed, "receive: peer is gone");
        return system_error("recvmsg");
    }
    take_descriptors(message, frame.fds);
    frame.bytes = std::string_view(frame.buffer).substr(0, static_cast<std::size_t>(got));
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return failure(Errc::kLimit, "receive: frame too large");
    // An empty frame and end of file look the same; no message of ours encodes to nothing.
    if (got == 0 && frame.fds.empty()) return failure(Errc::kClosed, "receive: peer is gone");
    return true;
}

}  // namespace sallyport::ipc
