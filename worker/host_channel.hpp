// The descriptor for the host's bytes, in both directions.
// Runs in:  worker
// Input:    bytes of the host, not looked at here
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/unique_fd.hpp"
#include "ipc/broker.pb.h"
#include "worker/journal.hpp"
#include "worker/output.hpp"

namespace sallyport::worker {

/// The state of the channel.
enum class HostState : std::uint8_t {
    kOpen,
    kEnded,  // a socket whose host sends nothing more; it may still read
    kGone,   // a socket whose host neither sends nor reads
    kLost,   // a serial line that broke
};

/// A non-blocking descriptor watched with EPOLLET: its readiness is remembered until the kernel says otherwise.
class HostChannel {
public:
    HostChannel(FdRef fd, ipc::Welcome::Channel kind) : fd_(fd), kind_(kind) {}

    /// Notes what epoll reported.
    void note(std::uint32_t events);
    [[nodiscard]] HostState state() const { return state_; }
    [[nodiscard]] bool is_readable() const { return readable_ && state_ == HostState::kOpen; }
    [[nodiscard]] bool is_writable() const {
        return writable_ && state_ != HostState::kGone && state_ != HostState::kLost;
    }

    /// Reads what is there into `buffer`. Empty if there is nothing, or the state has changed.
    std::string_view read(std::span<char> buffer);

    /// Writes as much of `output` as the channel takes, and notes it in the journal.
    void write(Output& output, Journal& journal);

private:
    void note_read_error(int error);
    void note_write_error(int error);

    FdRef fd_;
    ipc::Welcome::Channel kind_;
    HostState state_ = HostState::kOpen;
    bool readable_ = true;
    bool writable_ = true;
    bool hung_up_ = false;
    bool at_line_end_ = true;
};

}  // namespace sallyport::worker
