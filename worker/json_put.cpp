// The second half of the codec: messages to JSON.
#include "base/result.hpp"
#include "worker/base64.hpp"
#include "worker/json_codec.hpp"
#include "worker/json_writer.hpp"

namespace sallyport::worker {

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void append_bytes(std::string& out, const std::string& bytes) {
    Base64Encoder encoder;
    out += '"';
    encoder.append(std::as_bytes(std::span(bytes)), out);
    encoder.finish(out);
    out += '"';
}

void append_text(std::string& out, const Message& message, const FieldDescriptor& field) {
    std::string scratch;
    const std::string& text = message.GetReflection()->GetStringReference(message, &field, &scratch);
    if (field.type() == FieldDescriptor::TYPE_BYTES) {
        append_bytes(out, text);
    } else {
        append_string(out, text);
    }
}

void append_list(std::string& out, const Message& message, const FieldDescriptor& field) {
    const bool is_text = field.type() == FieldDescriptor::TYPE_STRING;
    SALLYPORT_CHECK(is_text || field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE);
    const auto& reflection = *message.GetReflection();
    std::string scratch;
    out += '[';
    for (int at = 0; at < reflection.FieldSize(message, &field); ++at) {
        if (at > 0) out += ", ";
        if (is_text) {
            append_string(out, reflection.GetRepeatedStringReference(message, &field, at, &scratch));
        } else {
            append_message(out, reflection.GetRepeatedMessage(message, &field, at));
        }
    }
    out += ']';
}

void append_field(std::string& out, const Message& message, const FieldDescriptor& field) {
    const auto& reflection = *message.GetReflection();
    if (field.is_repeated()) return append_list(out, message, field);
    switch (field.cpp_type()) {
        case FieldDescriptor::CPPTYPE_INT64:
            append_integer(out, reflection.GetInt64(message, &field));
            break;
        case FieldDescriptor::CPPTYPE_UINT64:
            append_unsigned(out, reflection.GetUInt64(message, &field));
            break;
        case FieldDescriptor::CPPTYPE_DOUBLE:
            append_double(out, reflection.GetDouble(message, &field));
            break;
        case FieldDescriptor::CPPTYPE_BOOL:
            out += reflection.GetBool(message, &field) ? "true" : "false";
            break;
        case FieldDescriptor::CPPTYPE_STRING:
            append_text(out, message, field);
            break;
        case FieldDescriptor::CPPTYPE_ENUM:
            append_string(out, enum_text(*reflection.GetEnum(message, &field)));
            break;
        case FieldDescriptor::CPPTYPE_MESSAGE:
            append_message(out, reflection.GetMessage(message, &field));
            break;
        default:
            check_failed();
    }
}

}  // namespace

void append_message(std::string& out, const Message& message) {
    const auto& type = *message.GetDescriptor();
    if (type.field_count() == 1 && type.field(0)->json_name() == "return")
        return append_field(out, message, *type.field(0));
    std::string_view separator;
    out += '{';
    for (int at = 0; at < type.field_count(); ++at) {
        const FieldDescriptor& field = *type.field(at);
        if (field.has_presence() && !message.GetReflection()->HasField(message, &field)) continue;
        out += separator;
        append_string(out, field.json_name());
        out += ": ";
        append_field(out, message, field);
        separator = ", ";
    }
    out += '}';
}

std::string enum_text(const google::protobuf::EnumValueDescriptor& value) {
    std::string text = value.name();
    for (char& one : text) {
        if (one == '_') one = '-';
        if (one >= 'A' && one <= 'Z') one = static_cast<char>(one - 'A' + 'a');
    }
    return text;
}

}  // namespace sallyport::worker
