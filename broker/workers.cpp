// The broker's end of the conversation with the nursery, which forks, kills and reaps workers.
// Runs in:  broker
// Input:    frames of the nursery, which never holds a host byte; what it says is checked all the same
#include "broker/workers.hpp"

#include <poll.h>

#include <array>
#include <cerrno>
#include <string>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"

namespace sallyport::broker {

namespace {

Status tell_nursery(FdRef nursery, const ipc::NurseryRequest& request, std::span<const FdRef> fds) {
    std::string frame;
    ipc::encode(request, frame);
    return ipc::send(nursery, frame, ipc::WhenFull::kFail, fds);
}

}  // namespace

Result<Worker> start_worker(FdRef nursery, std::uint64_t number, FdRef host, const ipc::Arena& arena) {
    auto sockets = ipc::socket_pair();
    if (!sockets) return std::unexpected(sockets.error());
    ipc::NurseryRequest request;
    request.mutable_start_worker()->set_id(number);
    const std::array fds{host, FdRef(sockets->second), arena.fd()};
    if (const auto told = tell_nursery(nursery, request, fds); !told) return std::unexpected(told.error());
    return Worker{.number = number, .socket = std::move(sockets->first)};
}

Status kill_worker(FdRef nursery, std::uint64_t number) {
    ipc::NurseryRequest request;
    request.mutable_kill_worker()->set_id(number);
    return tell_nursery(nursery, request, {});
}

Result<std::optional<ipc::NurseryReply>> hear_nursery(FdRef nursery) {
    ipc::Frame frame;
    const auto received = ipc::receive(nursery, frame);
    if (!received) return std::unexpected(received.error());
    if (!*received) return std::optional<ipc::NurseryReply>();
    ipc::NurseryReply reply;
    std::string scratch;
    if (const auto decoded = ipc::decode(frame.bytes, reply, scratch); !decoded)
        return std::unexpected(decoded.error());
    if (!frame.fds.empty() || reply.op_case() == ipc::NurseryReply::OP_NOT_SET)
        return failure(Errc::kInvalid, "nursery: not a reply of its");
    return std::optional(std::move(reply));
}

Status wait_readable(FdRef fd, int deadline_ms) {
    pollfd wanted{.fd = fd.get(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&wanted, 1, deadline_ms);
    if (ready < 0) return system_error("poll");
    if (ready == 0) return failure(Errc::kLimit, "no answer in time");
    return {};
}

}  // namespace sallyport::broker
