// Bytes:   whatever a host can send to the worker; the first byte says in what pieces they come.
// Promise: what the worker asks the broker is a frame in the one form that is accepted; every other answer is a whole line;
//          and neither depends on the pieces.
#include <cstdint>
#include <string>
#include <string_view>

#include "ipc/codec.hpp"
#include "tests/fuzz/draw.hpp"
#include "worker/framing.hpp"
#include "worker/request.hpp"

namespace sallyport::fuzz {
namespace {

using worker::Framing;

ipc::Welcome welcome() {
    ipc::Welcome all;
    for (const Command& row : kCommands) all.add_enabled(static_cast<std::uint32_t>(row.id));
    return all;
}

void take_value(Framing& framing, worker::Commands& commands, std::string& said) {
    worker::Pending pending;
    worker::take_request(framing.document(), commands, pending);
    if (pending.fate == worker::Fate::kAnswered) {
        promise(pending.reply.ends_with('\n'), "an answer is a whole line");
        promise(pending.reply.find('\n') == pending.reply.size() - 1, "an answer is one line");
        said += pending.reply;
        return;
    }
    pending.request.set_seq(1);
    std::string frame;
    std::string scratch;
    ipc::encode(pending.request, frame);
    ipc::Request again;
    promise(ipc::decode(frame, again, scratch).has_value(), "a frame to the broker is in canonical form");
    promise(pending.data_offset + pending.data_length <= pending.text.size(), "data lies in the text");
    said += frame + "\n";
}

std::string take(std::string_view bytes, std::size_t piece) {
    static worker::Commands commands;
    commands.welcome(welcome());
    Framing framing;
    std::string said;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
        framing.feed(bytes.substr(0, piece));
        for (;;) {
            const Framing::Event event = framing.next();
            if (event == Framing::Event::kNothing) break;
            if (event == Framing::Event::kValue) take_value(framing, commands, said);
            // The parser words some errors by where a piece ends, so the words are not compared.
            if (event == Framing::Event::kError) said += "error\n";
            if (event == Framing::Event::kReset) said += "reset\n";
        }
    }
    return said;
}

}  // namespace
}  // namespace sallyport::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sallyport;
    if (size < 2) return 0;
    const std::string bytes(data + 1, data + size);
    const std::string whole = fuzz::take(bytes, bytes.size());
    const std::string pieces = fuzz::take(bytes, 1 + *data % 16U);
    if (pieces != whole) std::printf("as a whole:\n%s\nin pieces:\n%s\n", whole.c_str(), pieces.c_str());
    fuzz::promise(pieces == whole, "what is understood does not depend on the pieces");
    return 0;
}
