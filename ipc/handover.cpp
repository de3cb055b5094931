// Runs in:  broker and files (give and take), nursery and inspector (take)
#include "ipc/handover.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "ipc/limits.hpp"

namespace sallyport::ipc {

namespace {

// If a frame has more descriptors than this, the kernel closes the rest and sets MSG_CTRUNC.
struct ControlBuffer {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxFrameDescriptors)> bytes{};
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

}  // namespace

Status give(FdRef socket, std::string_view bytes, std::span<const FdRef> fds) {
    SALLYPORT_CHECK(!fds.empty() && fds.size() <= kMaxFrameDescriptors);
    iovec part{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    ControlBuffer control;
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
    if (::sendmsg(socket.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
    if (errno == EAGAIN) return failure(Errc::kLimit, "sendmsg: peer does not read");
    return system_error("sendmsg");
}

Result<bool> take(FdRef socket, Frame& frame, std::vector<UniqueFd>& fds, WhenEmpty when_empty) {
    fds.clear();
    const std::span<char> room = clear(frame);
    iovec part{.iov_base = room.data(), .iov_len = room.size()};
    ControlBuffer control;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    const int waiting = when_empty == WhenEmpty::kWait ? 0 : MSG_DONTWAIT;
    const ssize_t got = ::recvmsg(socket.get(), &message, waiting | MSG_CMSG_CLOEXEC);
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) return false;
        if (errno == ECONNRESET) return failure(Errc::kClosed, "take: peer is gone");
        return system_error("recvmsg");
    }
    take_descriptors(message, fds);
    hold(frame, static_cast<std::size_t>(got));
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return failure(Errc::kLimit, "take: frame too large");
    if (got == 0) return failure(Errc::kClosed, "take: peer is gone");
    return true;
}

}  // namespace sallyport::ipc
