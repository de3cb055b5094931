#include "inspector/child.hpp"

#include <poll.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "inspector/filter.hpp"
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

bool say_failed(FdRef parent, const Error& error) {
    if (error.code == Errc::kInvalid) return say(parent, Word::kNoBlocks);
    return say(parent, Word::kSystem, std::to_string(error.sys_errno));
}

// Sends the reply in parts.
bool send_reply(FdRef parent, const schema::Inspected& reply) {
    std::string all;
    ipc::encode(reply, all);
    if (all.size() > kMaxInspected) return say(parent, Word::kTooLarge);
    std::string_view rest = all;
    for (; rest.size() > kInspectedPart; rest.remove_prefix(kInspectedPart))
        if (!say(parent, Word::kMore, rest.substr(0, kInspectedPart))) return false;
    return say(parent, Word::kLast, rest);
}

bool answer_query(FdRef parent, const Facts& facts, const ipc::Query& query, bool is_newborn) {
    const auto command = command_from_number(query.command());
    if (!command || !is_query(*command)) return false;
    if (!is_newborn && !is_up_to_date(*command, facts.sources)) return say(parent, Word::kOutdated);
    schema::Inspected reply;
    if (const auto done = answer(facts.sources, *command, reply); !done)
        return say_failed(parent, done.error());
    filter_reply({facts.rules, *command, query.now()}, reply);
    return send_reply(parent, reply);
}

}  // namespace

int answer_queries(FdRef parent, const Facts& facts) {
    ipc::Frame frame;
    std::string scratch;
    bool is_newborn = true;
    for (;;) {
        pollfd wanted{.fd = parent.get(), .events = POLLIN, .revents = 0};
        if (::ppoll(&wanted, 1, nullptr, nullptr) < 0 && errno != EINTR) return kFailed;
        const auto got = ipc::receive(parent, frame);
        if (!got) return got.error().code == Errc::kClosed ? kOver : kFailed;
        if (!*got) continue;
        ipc::InspectorRequest request;
        if (!ipc::decode(frame.bytes, request, scratch)) return kFailed;
        if (!answer_query(parent, facts, request.query(), std::exchange(is_newborn, false))) return kFailed;
    }
}

}  // namespace sallyport::inspector
