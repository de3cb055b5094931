// Runs in:  broker
#include "broker/serve/workers.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/handover.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

constexpr std::int64_t kLivedWell = 10'000'000'000;
constexpr int kFirstPauseMs = 10;
constexpr int kLongestPauseMs = 500;  // a host is answered within a second, whatever happens to workers

Status tell_nursery(FdRef nursery, const ipc::NurseryRequest& request, std::span<const FdRef> fds) {
    std::string frame;
    ipc::encode(request, frame);
    return fds.empty() ? ipc::send(nursery, frame, ipc::WhenFull::kFail) : ipc::give(nursery, frame, fds);
}

}  // namespace

int Backoff::after(std::int64_t lived_ns) {
    if (lived_ns >= kLivedWell) failures_ = 0;
    if (failures_++ == 0) return 0;
    return std::min(kFirstPauseMs << std::min(failures_ - 2, 8U), kLongestPauseMs);
}

Result<Worker> start_worker(FdRef nursery, std::uint64_t number, FdRef host, const ipc::Arena& arena) {
    auto sockets = TRY(ipc::socket_pair());
    ipc::NurseryRequest request;
    request.mutable_start_worker()->set_id(number);
    const std::array fds{host, FdRef(sockets.second), arena.fd()};
    TRY(tell_nursery(nursery, request, fds));
    return Worker{.number = number, .socket = std::move(sockets.first)};
}

Status kill_worker(FdRef nursery, std::uint64_t number) {
    ipc::NurseryRequest request;
    request.mutable_kill_worker()->set_id(number);
    return tell_nursery(nursery, request, {});
}

Result<std::optional<ipc::NurseryReply>> hear_nursery(FdRef nursery) {
    ipc::Frame frame;
    ipc::NurseryReply reply;
    if (!TRY(ipc::hear(nursery, reply, frame))) return std::optional<ipc::NurseryReply>();
    if (reply.op_case() == ipc::NurseryReply::OP_NOT_SET)
        return failure(Errc::kInvalid, "nursery: unexpected frame");
    return std::optional(std::move(reply));
}

Status tell_inspector(FdRef inspector, const ipc::ReplyRules& rules) {
    std::string all;
    ipc::encode(rules, all);
    ipc::InspectorRequest request;
    ipc::RulesPart& part = *request.mutable_rules_part();
    std::string_view rest = all;
    do {
        const std::string_view data = rest.substr(0, kInspectedPart);
        rest.remove_prefix(data.size());
        part.set_data(data.data(), data.size());
        part.set_last(rest.empty());
        TRY(ipc::say(inspector, request, ipc::WhenFull::kWait));
    } while (!rest.empty());
    return {};
}

Status wait_readable(FdRef fd, int deadline_ms) {
    pollfd wanted{.fd = fd.get(), .events = POLLIN, .revents = 0};
    const timespec deadline{.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1'000'000L};
    const int ready = ::ppoll(&wanted, 1, &deadline, nullptr);
    if (ready < 0) return system_error("ppoll");
    if (ready == 0) return failure(Errc::kLimit, "no answer in time");
    return {};
}

}  // namespace sallyport::broker
