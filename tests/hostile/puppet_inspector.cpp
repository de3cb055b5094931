// An inspector that has been taken over: confined as the real one is, it answers each query with what an attacker would.
// The command that is asked for says which attack.
#include <poll.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/handover.hpp"
#include "ipc/inspector.pb.h"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"

namespace {

using namespace sallyport;
using Op = ipc::Request;

const FdRef kControl(3);

void send(std::string_view frame) {
    (void)ipc::send(kControl, frame, ipc::WhenFull::kWait);
}

void send_part(std::uint64_t query, std::string data, bool last) {
    ipc::InspectorReply said;
    said.mutable_reply_part()->set_query(query);
    said.mutable_reply_part()->set_data(std::move(data));
    said.mutable_reply_part()->set_last(last);
    std::string frame;
    ipc::encode(said, frame);
    send(frame);
}

std::string encoded(const ipc::Reply& reply) {
    std::string bytes;
    ipc::encode(reply, bytes);
    return bytes;
}

void answer(const ipc::Request& request) {
    const std::uint64_t query = request.seq();
    ipc::Reply reply;
    switch (request.command_case()) {
        case Op::kGetTime:  // the reply to something else
            reply.mutable_get_host_name()->set_host_name("liar");
            return send_part(query, encoded(reply), true);
        case Op::kGetTimezone:  // not a message
            return send_part(query, "\xff\xff\xff", true);
        case Op::kGetOsinfo:  // a field that no schema has
            reply.mutable_get_osinfo();
            return send_part(query, encoded(reply) + "\xfa\x7f\x01x", true);
        case Op::kGetLoad:  // a welcome with every command
            reply.mutable_welcome()->add_enabled(1);
            return send_part(query, encoded(reply), true);
        case Op::kGetCpustats:  // a part of the arena
            reply.mutable_get_cpustats();
            reply.mutable_data()->set_size(4096);
            return send_part(query, encoded(reply), true);
        case Op::kGetVcpus:  // an error that is the policy's alone
            reply.mutable_error()->set_reason(ipc::DISABLED);
            reply.mutable_error()->set_denial("forged");
            return send_part(query, encoded(reply), true);
        case Op::kGetUsers:  // without end
            for (std::size_t sent = 0; sent <= kMaxInspected; sent += kInspectedPart)
                send_part(query, std::string(kInspectedPart, 'a'), false);
            return;
        case Op::kGetDisks:  // about other queries
            send_part(query + 1, "early", true);
            send_part(query - 1, "late", true);
            reply.mutable_get_disks();
            return send_part(query, encoded(reply), true);
        case Op::kGetHostName:
            reply.mutable_get_host_name()->set_host_name("well");
            return send_part(query, encoded(reply), true);
        case Op::kGetFsinfo:  // no answer at all
            return;
        case Op::kGetDiskstats:  // not a frame of its
            return send("garbage");
        case Op::kNetworkGetRoute: {  // a descriptor
            const std::array fds{FdRef(1)};
            ipc::InspectorReply said;
            said.mutable_query_failed()->set_query(query);
            std::string frame;
            ipc::encode(said, frame);
            (void)ipc::give(kControl, frame, fds);
            return send(frame);
        }
        default:
            return;
    }
}

}  // namespace

int main(int, char** argv) {
    ipc::silence_protobuf();
    const auto number = [](std::string_view text) {
        unsigned value = 0;
        std::from_chars(text.begin(), text.end(), value);
        return value;
    };
    ::close_range(4, ~0U, 0);
    if (!sandbox::lockdown_inspector(number(argv[1]), number(argv[2]), {})) return 1;
    ipc::InspectorReply ready;
    ready.mutable_inspector_ready();
    std::string frame;
    ipc::encode(ready, frame);
    send(frame);
    ipc::Frame got;
    for (;;) {
        pollfd wanted{.fd = kControl.get(), .events = POLLIN, .revents = 0};
        ::ppoll(&wanted, 1, nullptr, nullptr);
        const auto received = ipc::receive(kControl, got);
        if (!received) return 0;
        ipc::Request request;
        if (*received && ipc::decode(got.bytes, request, frame)) answer(request);
    }
}
