// Runs in:  every process that speaks protobuf
// Relies on: one build of libprotobuf encoding a message in exactly one way
#include "ipc/codec.hpp"

#include <google/protobuf/stubs/logging.h>

namespace sallyport::ipc {

void encode(const google::protobuf::MessageLite& message, std::string& bytes) {
    bytes.clear();
    SALLYPORT_CHECK(message.AppendToString(&bytes));
}

Status decode(std::string_view frame, google::protobuf::MessageLite& message, std::string& scratch) {
    if (!message.ParseFromArray(frame.data(), static_cast<int>(frame.size())))
        return failure(Errc::kInvalid, "frame: not a message");
    encode(message, scratch);
    if (scratch != frame) return failure(Errc::kInvalid, "frame: not in canonical form");
    return {};
}

Status say(FdRef socket, const google::protobuf::MessageLite& message, WhenFull when_full) {
    std::string bytes;
    encode(message, bytes);
    return send(socket, bytes, when_full);
}

Result<bool> hear(FdRef socket, google::protobuf::MessageLite& message, Frame& frame) {
    const auto got = receive(socket, frame);
    if (!got || !*got) return got;
    std::string scratch;
    TRY(decode(frame.bytes, message, scratch));
    return true;
}

void silence_protobuf() {
    google::protobuf::SetLogHandler(nullptr);
}

}  // namespace sallyport::ipc
