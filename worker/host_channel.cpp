#include "worker/host_channel.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

namespace sallyport::worker {

namespace {

// With memchr: replies are long and have few line ends.
std::size_t count_line_ends(std::string_view text) {
    std::size_t count = 0;
    for (std::size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1)) ++count;
    return count;
}

}  // namespace

void HostChannel::note(std::uint32_t events) {
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readable_ = true;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) writable_ = true;
    hung_up_ = hung_up_ || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
}

void HostChannel::note_read_error(int error) {
    readable_ = false;
    if (error == EAGAIN || error == EINTR) {
        readable_ = error == EINTR;
    } else {
        state_ = kind_ == ipc::Welcome::STREAM ? HostState::kGone : HostState::kLost;
    }
}

std::string_view HostChannel::read(std::span<char> buffer) {
    const ssize_t size = ::read(fd_.get(), buffer.data(), buffer.size());
    if (size < 0) {
        note_read_error(errno);
        return {};
    }
    if (size == 0) {
        readable_ = false;
        // A virtio-serial port reads as end of file while no host has it open; another may come.
        if (kind_ == ipc::Welcome::STREAM) state_ = HostState::kEnded;
        if (kind_ == ipc::Welcome::ISA_SERIAL) state_ = HostState::kLost;
        return {};
    }
    // A short read from a socket means that it is empty; a serial line may have more.
    const auto got = static_cast<std::size_t>(size);
    if (kind_ == ipc::Welcome::STREAM && got < buffer.size() && !hung_up_) readable_ = false;
    return {buffer.data(), got};
}

void HostChannel::note_write_error(int error) {
    writable_ = error == EINTR;
    if (error != EAGAIN && error != EINTR)
        state_ = kind_ == ipc::Welcome::STREAM ? HostState::kGone : HostState::kLost;
}

void HostChannel::write(Output& output, Journal& journal) {
    while (is_writable() && !output.is_empty()) {
        const std::string_view unsent = output.unsent();
        journal.begin_write();
        const ssize_t size = ::write(fd_.get(), unsent.data(), unsent.size());
        if (size < 0) {
            note_write_error(errno);
            journal.end_write(0, at_line_end_);
            continue;
        }
        const std::string_view sent = unsent.substr(0, static_cast<std::size_t>(size));
        if (!sent.empty()) at_line_end_ = sent.back() == '\n';
        journal.end_write(count_line_ends(sent), at_line_end_);
        if (kind_ == ipc::Welcome::STREAM && sent.size() < unsent.size()) writable_ = false;
        output.sent(sent.size());
    }
}

}  // namespace sallyport::worker
