#include "inspector/child.hpp"

#include <poll.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "inspector/queries.hpp"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::inspector {

namespace {

constexpr int kOver = 0;
constexpr int kFailed = 1;

bool say(FdRef parent, Word word, std::string_view part = {}) {
    std::string frame(1, static_cast<char>(word));
    frame += part;
    return ipc::send(parent, frame, ipc::WhenFull::kWait).has_value();
}

// The reply in parts.
bool send_reply(FdRef parent, const ipc::Reply& reply) {
    std::string all;
    ipc::encode(reply, all);
    if (all.size() > kMaxInspected) return say(parent, Word::kTooLarge);
    std::string_view rest = all;
    for (; rest.size() > kInspectedPart; rest.remove_prefix(kInspectedPart))
        if (!say(parent, Word::kMore, rest.substr(0, kInspectedPart))) return false;
    return say(parent, Word::kLast, rest);
}

}  // namespace

int answer_queries(FdRef parent, const Sources& sources) {
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
        if (!send_reply(parent, reply)) return kFailed;
    }
}

}  // namespace sallyport::inspector
