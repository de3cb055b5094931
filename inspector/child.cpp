#include "inspector/child.hpp"

#include <poll.h>

#include <cerrno>
#include <string>

#include "inspector/queries.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/inspector.pb.h"
#include "ipc/limits.hpp"

namespace sallyport::inspector {

namespace {

constexpr int kOver = 0;
constexpr int kFailed = 1;

bool send(FdRef control, const ipc::InspectorReply& said) {
    std::string frame;
    ipc::encode(said, frame);
    return ipc::send(control, frame, ipc::WhenFull::kWait).has_value();
}

// The reply in parts.
bool send_reply(FdRef control, std::uint64_t query, const ipc::Reply& reply) {
    std::string all;
    ipc::encode(reply, all);
    ipc::InspectorReply said;
    if (all.size() > kMaxInspected) {
        said.mutable_query_failed()->set_query(query);
        said.mutable_query_failed()->set_reason(ipc::TOO_LARGE);
        return send(control, said);
    }
    ipc::ReplyPart& part = *said.mutable_reply_part();
    part.set_query(query);
    for (std::size_t at = 0; !part.last(); at += kInspectedPart) {
        part.set_data(all.substr(at, kInspectedPart));
        part.set_last(at + kInspectedPart >= all.size());
        if (!send(control, said)) return false;
    }
    return true;
}

}  // namespace

int answer_queries(FdRef control, FdRef parent, const Sources& sources) {
    ipc::Frame frame;
    std::string scratch;
    for (;;) {
        const auto got = ipc::receive(parent, frame);
        if (!got) return got.error().code == Errc::kClosed ? kOver : kFailed;
        if (!*got) {
            pollfd wanted{.fd = parent.get(), .events = POLLIN, .revents = 0};
            if (::ppoll(&wanted, 1, nullptr, nullptr) < 0 && errno != EINTR) return kFailed;
            continue;
        }
        ipc::Request request;
        ipc::Reply reply;
        if (!ipc::decode(frame.bytes, request, scratch) || !answer(sources, request, reply)) return kFailed;
        if (!send_reply(control, request.seq(), reply)) return kFailed;
        if (!ipc::send(parent, "answered", ipc::WhenFull::kFail)) return kFailed;
    }
}

}  // namespace sallyport::inspector
