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
#include "schema/commands.hpp"
#include "schema/inspect.pb.h"

namespace {

using namespace sallyport;

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

std::string encoded(const google::protobuf::MessageLite& reply) {
    std::string bytes;
    ipc::encode(reply, bytes);
    return bytes;
}

void send_failed(std::uint64_t query, ipc::Reason reason) {
    ipc::InspectorReply said;
    said.mutable_query_failed()->set_query(query);
    said.mutable_query_failed()->set_reason(reason);
    std::string frame;
    ipc::encode(said, frame);
    send(frame);
}

// In as many parts as it takes.
void send_all(std::uint64_t query, std::string_view bytes) {
    for (; bytes.size() > kInspectedPart; bytes.remove_prefix(kInspectedPart))
        send_part(query, std::string(bytes.substr(0, kInspectedPart)), false);
    send_part(query, std::string(bytes), true);
}

// A message of field 3, get_vcpus, with as many empty entries as there may be bytes for.
std::string many_empty_things() {
    std::string entries;
    while (entries.size() < kMaxInspected - 16) entries += std::string("\x0a\x00", 2);
    std::string bytes = "\x1a";
    for (std::size_t left = entries.size(); left > 0; left >>= 7U)
        bytes += static_cast<char>((left & 0x7FU) | (left > 0x7FU ? 0x80U : 0U));
    return bytes + entries;
}

std::string interface_without_text() {
    schema::Inspected reply;
    reply.mutable_network_get_interfaces()->add_interfaces()->set_name("ether");
    std::string bytes = encoded(reply);
    return bytes.replace(bytes.find("ether"), 2, "\xc3\x28");
}

void give_descriptor(std::uint64_t query) {
    const std::array fds{FdRef(1)};
    ipc::InspectorReply said;
    said.mutable_query_failed()->set_query(query);
    std::string frame;
    ipc::encode(said, frame);
    (void)ipc::give(kControl, frame, fds);
    send(frame);
}

void answer(const ipc::Query& asked) {
    const std::uint64_t query = asked.number();
    schema::Inspected reply;
    ipc::Reply of_the_broker;
    switch (CommandId{static_cast<std::uint8_t>(asked.command())}) {
        case CommandId::kGetTime:  // the reply to something else
            reply.mutable_get_host_name()->set_host_name("liar");
            return send_part(query, encoded(reply), true);
        case CommandId::kGetTimezone:  // not a message
            return send_part(query, "\xff\xff\xff", true);
        case CommandId::kGetOsinfo:  // a field that no schema has
            reply.mutable_get_osinfo();
            return send_part(query, encoded(reply) + "\xfa\x7f\x01x", true);
        case CommandId::kGetLoad:  // a welcome with every command
            of_the_broker.mutable_welcome()->add_enabled(1);
            return send_part(query, encoded(of_the_broker), true);
        case CommandId::kGetCpustats:  // a part of the arena
            of_the_broker.mutable_data()->set_size(4096);
            return send_part(query, encoded(of_the_broker), true);
        case CommandId::kGetMemoryBlocks:  // an error where none belongs
            of_the_broker.mutable_error()->set_reason(ipc::DISABLED);
            of_the_broker.mutable_error()->set_denial("forged");
            return send_part(query, encoded(of_the_broker), true);
        case CommandId::kGetMemoryBlockInfo:  // an error that is the policy's alone
            return send_failed(query, ipc::DISABLED);
        case CommandId::kNetworkGetInterfaces:  // text that is none
            return send_part(query, interface_without_text(), true);
        case CommandId::kGetVcpus:  // small to say and large to tell
            return send_all(query, many_empty_things());
        case CommandId::kGetUsers:  // without end
            for (std::size_t sent = 0; sent <= kMaxInspected; sent += kInspectedPart)
                send_part(query, std::string(kInspectedPart, 'a'), false);
            return;
        case CommandId::kGetDisks:  // about other queries
            send_part(query + 1, "early", true);
            send_part(query - 1, "late", true);
            reply.mutable_get_disks();
            return send_part(query, encoded(reply), true);
        case CommandId::kGetHostName:
            reply.mutable_get_host_name()->set_host_name("well");
            return send_part(query, encoded(reply), true);
        case CommandId::kGetFsinfo:  // no answer at all
            return;
        case CommandId::kGetDiskstats:  // not a frame of its
            return send("garbage");
        case CommandId::kNetworkGetRoute:  // a descriptor
            return give_descriptor(query);
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
        ipc::InspectorRequest request;
        if (*received && ipc::decode(got.bytes, request, frame) && request.has_query())
            answer(request.query());
    }
}
