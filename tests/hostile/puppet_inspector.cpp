// An inspector that has been taken over: confined as the real one is, it answers each query itself with what an attacker would.
// The command that is asked for says which attack.
#include <poll.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ipc/broker.pb.h"
#include "ipc/channel.hpp"
#include "ipc/codec.hpp"
#include "ipc/handover.hpp"
#include "ipc/inspected.hpp"
#include "ipc/inspector.pb.h"
#include "ipc/limits.hpp"
#include "sandbox/lockdown.hpp"
#include "schema/commands.hpp"
#include "schema/inspect.pb.h"

namespace {

using namespace sallyport;

const FdRef kControl(3);

void send(FdRef socket, std::string_view frame) {
    (void)ipc::send(socket, frame, ipc::WhenFull::kWait);
}

void send_part(FdRef child, std::string_view data, bool last) {
    send(child, static_cast<char>(last ? ipc::Word::kLast : ipc::Word::kMore) + std::string(data));
}

std::string encoded(const google::protobuf::MessageLite& reply) {
    std::string bytes;
    ipc::encode(reply, bytes);
    return bytes;
}

// In as many parts as it takes.
void send_all(FdRef child, std::string_view bytes) {
    for (; bytes.size() > kInspectedPart; bytes.remove_prefix(kInspectedPart))
        send_part(child, bytes.substr(0, kInspectedPart), false);
    send_part(child, bytes, true);
}

// A message of field 3, get_vcpus, with as many empty entries as there may be bytes for.
std::string many_empty_things() {
    std::string entries(kMaxInspected - 16, '\0');
    for (std::size_t at = 0; at < entries.size(); at += 2) entries[at] = '\x0a';
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

void give_descriptor() {
    const std::array fds{FdRef(1)};
    (void)ipc::give(kControl, "garbage", fds);
}

struct Sockets {
    UniqueFd child;
    UniqueFd earlier;  // of the child before, which the broker has given up
};

void answer(const Sockets& sockets, const ipc::Query& asked) {
    const FdRef child(sockets.child);
    schema::Inspected reply;
    ipc::Reply of_the_broker;
    switch (CommandId{static_cast<std::uint8_t>(asked.command())}) {
        case CommandId::kGetTime:  // the reply to something else
            reply.mutable_get_host_name()->set_host_name("liar");
            return send_part(child, encoded(reply), true);
        case CommandId::kGetTimezone:  // not a message
            return send_part(child, "\xff\xff\xff", true);
        case CommandId::kGetOsinfo:  // a field that no schema has
            reply.mutable_get_osinfo();
            return send_part(child, encoded(reply) + "\xfa\x7f\x01x", true);
        case CommandId::kGetLoad:  // a welcome with every command
            of_the_broker.mutable_welcome()->add_enabled(1);
            return send_part(child, encoded(of_the_broker), true);
        case CommandId::kGetCpustats:  // a part of the arena
            of_the_broker.mutable_data()->set_size(4096);
            return send_part(child, encoded(of_the_broker), true);
        case CommandId::kGetMemoryBlocks:  // an error where none belongs
            of_the_broker.mutable_error()->set_reason(ipc::DISABLED);
            of_the_broker.mutable_error()->set_denial("forged");
            return send_part(child, encoded(of_the_broker), true);
        case CommandId::kGetMemoryBlockInfo:  // an errno that is none
            return send(child, static_cast<char>(ipc::Word::kSystem) + std::string("\xff\xff\xff\xff"));
        case CommandId::kNetworkGetInterfaces:  // text that is none
            return send_part(child, interface_without_text(), true);
        case CommandId::kGetVcpus:  // small to say and large to tell
            return send_all(child, many_empty_things());
        case CommandId::kGetUsers:  // without end
            for (std::size_t sent = 0; sent <= kMaxInspected; sent += kInspectedPart)
                send_part(child, std::string(kInspectedPart, 'a'), false);
            return;
        case CommandId::kGetDisks:  // for the child before it, too
            send_part(sockets.earlier, "late", true);
            reply.mutable_get_disks();
            return send_part(child, encoded(reply), true);
        case CommandId::kGetHostName:
            reply.mutable_get_host_name()->set_host_name("well");
            return send_part(child, encoded(reply), true);
        case CommandId::kGetFsinfo:  // no answer at all
            return;
        case CommandId::kGetDiskstats:  // not a frame of its
            return send(kControl, "garbage");
        case CommandId::kNetworkGetRoute:  // a descriptor
            return give_descriptor();
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
    send(kControl, frame);
    ipc::Frame got;
    Sockets sockets;
    std::vector<UniqueFd> given;
    for (;;) {
        std::array wanted{pollfd{.fd = kControl.get(), .events = POLLIN, .revents = 0},
                          pollfd{.fd = sockets.child.get(), .events = POLLIN, .revents = 0}};
        ::ppoll(wanted.data(), wanted.size(), nullptr, nullptr);
        const auto ordered = ipc::take(kControl, got, given);
        if (!ordered) return 0;
        if (*ordered && !given.empty()) {
            if (sockets.child.is_open()) sockets.earlier = std::move(sockets.child);
            sockets.child = std::move(given.front());
        }
        if (!sockets.child.is_open()) continue;
        const auto received = ipc::receive(sockets.child, got);
        ipc::Query query;
        if (!received) sockets.earlier = std::move(sockets.child);
        if (received.value_or(false) && ipc::decode(got.bytes, query, frame)) answer(sockets, query);
    }
}
