// Bytes:   whatever an inspector that was taken over can have relayed to the worker; the first byte says what was asked.
// Promise: what the worker accepts is the one form that its encoder writes, and becomes one JSON value.
#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "ipc/codec.hpp"
#include "tests/fuzz/draw.hpp"
#include "worker/inspected.hpp"
#include "worker/json_codec.hpp"

namespace sallyport::fuzz {
namespace {

void take(std::uint8_t which, std::string_view bytes) {
    const auto& result = *schema::Inspected::descriptor()->oneof_decl(0);
    schema::Inspected inspected;
    const auto* reply = worker::take_inspected(bytes, *result.field(which % result.field_count()), inspected);
    if (reply == nullptr) return;
    promise(inspected.SerializeAsString() == bytes, "what is accepted is what the encoder writes");
    std::string text;
    worker::append_message(text, *reply);
    boost::system::error_code error;
    boost::json::parse(text, error);
    promise(!error, "what the host reads is JSON");
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
