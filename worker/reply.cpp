#include "worker/reply.hpp"

#include "worker/json_codec.hpp"
#include "worker/json_writer.hpp"

namespace sallyport::worker {

namespace {

std::string_view class_name(ErrorClass error_class) {
    switch (error_class) {
        case ErrorClass::kGeneric:
            return "GenericError";
        case ErrorClass::kCommandNotFound:
            return "CommandNotFound";
    }
    return {};
}

}  // namespace

void end_reply(std::string& out, std::string_view id) {
    if (!id.empty()) {
        out += ", \"id\": ";
        out += id;
    }
    out += "}\n";
}

void append_success(std::string& out, const google::protobuf::Message& result, std::string_view id) {
    out += kReplyStart;
    append_message(out, result);
    end_reply(out, id);
}

void append_error(std::string& out, const HostError& error, std::string_view id) {
    out += '{';
    if (!id.empty()) {
        out += "\"id\": ";
        out += id;
        out += ", ";
    }
    out += "\"error\": {\"class\": ";
    append_string(out, class_name(error.error_class));
    out += ", \"desc\": ";
    append_string(out, error.desc);
    out += "}}\n";
}

}  // namespace sallyport::worker
