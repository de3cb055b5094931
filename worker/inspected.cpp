#include "worker/inspected.hpp"

#include <cmath>
#include <string>

#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::worker {

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

class Judge {
public:
    bool is_honest(const Message& message) {
        if (++messages_ > kMaxInspectedThings) return false;
        if (!message.GetReflection()->GetUnknownFields(message).empty()) return false;
        const auto& type = *message.GetDescriptor();
        for (int at = 0; at < type.field_count(); ++at)
            if (!is_honest(message, *type.field(at))) return false;
        return true;
    }

private:
    bool is_honest(const Message& message, const FieldDescriptor& field) {
        if (field.is_repeated()) return is_honest_list(message, field);
        const auto& reflection = *message.GetReflection();
        if (field.has_presence() && !reflection.HasField(message, &field))
            return field.has_optional_keyword() || field.containing_oneof() != nullptr;
        switch (field.cpp_type()) {
            case FieldDescriptor::CPPTYPE_ENUM: {
                const int value = reflection.GetEnumValue(message, &field);
                return value != 0 && field.enum_type()->FindValueByNumber(value) != nullptr;
            }
            case FieldDescriptor::CPPTYPE_DOUBLE:
                return std::isfinite(reflection.GetDouble(message, &field));
            case FieldDescriptor::CPPTYPE_MESSAGE:
                return is_honest(reflection.GetMessage(message, &field));
            default:
                return true;  // the parser has checked that strings are UTF-8
        }
    }

    bool is_honest_list(const Message& message, const FieldDescriptor& field) {
        if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return true;
        const auto& reflection = *message.GetReflection();
        for (int at = 0; at < reflection.FieldSize(message, &field); ++at)
            if (!is_honest(reflection.GetRepeatedMessage(message, &field, at))) return false;
        return true;
    }

    std::size_t messages_ = 0;
};

}  // namespace

const Message* take_inspected(std::string_view bytes, const FieldDescriptor& field,
                              schema::Inspected& inspected) {
    std::string scratch;
    if (!ipc::decode(bytes, inspected, scratch) || !Judge().is_honest(inspected)) return nullptr;
    const auto& reflection = *inspected.GetReflection();
    return reflection.HasField(inspected, &field) ? &reflection.GetMessage(inspected, &field) : nullptr;
}

}  // namespace sallyport::worker
