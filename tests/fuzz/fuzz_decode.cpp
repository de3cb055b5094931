// Bytes:   whatever a peer that was taken over can put into one frame; the first byte says which peer.
// Promise: a frame that is accepted is the one that our encoder writes, and a path in it parses to itself again.
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ipc/broker.pb.h"
#include "ipc/codec.hpp"
#include "ipc/guard.pb.h"
#include "ipc/inspector.pb.h"
#include "ipc/launcher.pb.h"
#include "ipc/nursery.pb.h"
#include "policy/guest_path.hpp"
#include "tests/fuzz/draw.hpp"

namespace sallyport::fuzz {
namespace {

template <typename Message>
Message accepted(std::string_view frame) {
    Message message;
    std::string scratch;
    if (!ipc::decode(frame, message, scratch)) return {};
    std::string again;
    ipc::encode(message, again);
    promise(again == frame, "a frame that is accepted is the one that the encoder writes");
    return message;
}

void take(std::uint8_t peer, std::string_view frame) {
    if (peer % 8 == 1) return (void)accepted<ipc::GuardReply>(frame);
    if (peer % 8 == 2) return (void)accepted<ipc::LauncherReply>(frame);
    if (peer % 8 == 3) return (void)accepted<ipc::InspectorReply>(frame);
    if (peer % 8 == 4) return (void)accepted<ipc::NurseryReply>(frame);
    if (peer % 8 == 5) return (void)accepted<ipc::GuardRequest>(frame);
    if (peer % 8 == 6) return (void)accepted<ipc::LauncherRequest>(frame);
    if (peer % 8 == 7) return (void)accepted<ipc::Reply>(frame);
    const auto request = accepted<ipc::Request>(frame);
    const auto path = policy::GuestPath::parse(request.file_open().path(), "/start");
    if (!path) return;
    const auto again = policy::GuestPath::parse(path->text(), "/");
    promise(again && again->text() == path->text(), "a path that was parsed parses to itself");
}

}  // namespace
}  // namespace sallyport::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sallyport;
    static const bool is_silent = [] { return ipc::silence_protobuf(), true; }();
    static_cast<void>(is_silent);
    const std::string bytes(data, data + size);
    if (size > 0) fuzz::take(*data, std::string_view(bytes).substr(1));
    return 0;
}
