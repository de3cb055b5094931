#include "inspector/child.hpp"

#include <array>
#include <cstring>
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

bool say(FdRef broker, Word word, std::string_view part = {}) {
    std::string frame(1, static_cast<char>(word));
    frame += part;
    return ipc::send(broker, frame, ipc::WhenFull::kWait).has_value();
}

bool say_failed(FdRef broker, const Error& error) {
    if (error.code == Errc::kInvalid) return say(broker, Word::kNoBlocks);
    const std::int32_t sys_errno = error.sys_errno;
    std::array<char, ipc::kErrnoSize> bytes{};
    std::memcpy(bytes.data(), &sys_errno, sizeof sys_errno);
    return say(broker, Word::kSystem, {bytes.data(), bytes.size()});
}

// Sends the reply in parts.
bool send_reply(FdRef broker, const schema::Inspected& reply) {
    std::string all;
    ipc::encode(reply, all);
    if (all.size() > kMaxInspected) return say(broker, Word::kTooLarge);
    std::string_view rest = all;
    for (; rest.size() > kInspectedPart; rest.remove_prefix(kInspectedPart))
        if (!say(broker, Word::kMore, rest.substr(0, kInspectedPart))) return false;
    return say(broker, Word::kLast, rest);
}

bool answer_query(FdRef broker, const Facts& facts, const ipc::Query& query, bool is_newborn) {
    const auto command = command_from_number(query.command());
    // THREAT: a broker that was taken over asks for what no rule allows.
    if (!command || !is_query(*command) || !facts.commands.has(*command)) return false;
    if (!is_newborn && !is_up_to_date(*command, facts.sources)) return say(broker, Word::kOutdated);
    schema::Inspected reply;
    if (const auto done = answer(facts.sources, *command, reply); !done)
        return say_failed(broker, done.error());
    filter_reply({facts.rules, *command, {query.latest(), query.wall()}}, reply);
    return send_reply(broker, reply);
}

}  // namespace

int answer_queries(FdRef broker, const Facts& facts) {
    ipc::Frame frame;
    std::string scratch;
    ipc::Query query;
    bool is_newborn = true;
    for (;;) {
        const auto got = ipc::receive(broker, frame, ipc::WhenEmpty::kWait);
        if (!got) return got.error().code == Errc::kClosed ? kOver : kFailed;
        if (!ipc::decode(frame.bytes, query, scratch)) return kFailed;
        if (!answer_query(broker, facts, query, std::exchange(is_newborn, false))) return kFailed;
    }
}

}  // namespace sallyport::inspector
