#include "inspector/rules.hpp"

#include <poll.h>

#include <cerrno>
#include <string>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::inspector {

namespace {

Status wait_readable(FdRef fd) {
    pollfd wanted{.fd = fd.get(), .events = POLLIN, .revents = 0};
    if (::ppoll(&wanted, 1, nullptr, nullptr) < 0 && errno != EINTR) return system_error("ppoll");
    return {};
}

}  // namespace

Result<ipc::ReplyRules> take_rules(FdRef control) {
    ipc::Frame frame;
    std::string all, scratch;
    for (;;) {
        if (const auto waited = wait_readable(control); !waited) return std::unexpected(waited.error());
        const auto got = ipc::receive(control, frame);
        if (!got) return std::unexpected(got.error());
        if (!*got) continue;
        ipc::InspectorRequest request;
        if (!ipc::decode(frame.bytes, request, scratch) || !request.has_rules_part())
            return failure(Errc::kInvalid, "rules: unexpected frame");
        all += request.rules_part().data();
        if (all.size() > kMaxCompiledSize) return failure(Errc::kLimit, "rules: too many");
        if (request.rules_part().last()) break;
    }
    ipc::ReplyRules rules;
    if (!ipc::decode(all, rules, scratch)) return failure(Errc::kInvalid, "rules: not of the promised form");
    for (const ipc::ReplyRule& rule : rules.rules())
        for (const int member : rule.filter().without())
            if (!ipc::ReplyFilter::Member_IsValid(member))
                return failure(Errc::kInvalid, "rules: unknown member");
    return rules;
}

}  // namespace sallyport::inspector
