// The first half of the codec: JSON to messages.
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "ipc/limits.hpp"
#include "schema/guest_agent.pb.h"
#include "worker/base64.hpp"
#include "worker/json_codec.hpp"

namespace sallyport::worker {

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Refused = std::optional<HostError>;

struct Alias {
    std::string_view preview;
    std::string_view current;
};

// The argument names of the first patch, which was never released.
constexpr std::array kPreviewNames{
    Alias{"filepath", "path"},
    Alias{"filehandle", "handle"},
    Alias{"data_b64", "buf-b64"},
};

Refused wrong_type(std::string_view name, std::string_view expected) {
    return generic_error("Invalid parameter type for '" + std::string(name) +
                         "', expected: " + std::string(expected));
}

Refused about_parameter(std::string_view name, std::string_view what) {
    return generic_error("Parameter '" + std::string(name) + "' " + std::string(what));
}

bool is_number(JsonKind kind) {
    return kind == JsonKind::kInt || kind == JsonKind::kUint || kind == JsonKind::kDouble;
}

// A field to fill, and the host's name for it. The form of an alternate has the alternate's name.
struct Target {
    Message& message;
    const FieldDescriptor& field;
    std::string_view name;
    [[nodiscard]] const google::protobuf::Reflection& reflection() const { return *message.GetReflection(); }
};

Refused take_int64(JsonValue value, Target target) {
    if (value.kind() != JsonKind::kInt) return wrong_type(target.name, "integer");
    target.reflection().SetInt64(&target.message, &target.field, value.integer());
    return {};
}

// Negative numbers wrap, which qemu-ga keeps for old clients.
Refused take_uint64(JsonValue value, Target target) {
    if (value.kind() != JsonKind::kInt && value.kind() != JsonKind::kUint)
        return about_parameter(target.name, "expects uint64");
    target.reflection().SetUInt64(&target.message, &target.field, value.unsigned_integer());
    return {};
}

Refused take_bool(JsonValue value, Target target) {
    if (value.kind() != JsonKind::kBool) return wrong_type(target.name, "boolean");
    target.reflection().SetBool(&target.message, &target.field, value.boolean());
    return {};
}

Refused take_double(JsonValue value, Target target) {
    if (!is_number(value.kind())) return wrong_type(target.name, "number");
    double number = value.number();
    if (value.kind() == JsonKind::kInt) number = static_cast<double>(value.integer());
    if (value.kind() == JsonKind::kUint) number = static_cast<double>(value.unsigned_integer());
    target.reflection().SetDouble(&target.message, &target.field, number);
    return {};
}

Refused take_enum(JsonValue value, Target target) {
    if (value.kind() != JsonKind::kString) return wrong_type(target.name, "string");
    const auto& values = *target.field.enum_type();
    for (int at = 0; at < values.value_count(); ++at) {
        if (values.value(at)->number() == 0 || enum_text(*values.value(at)) != value.text()) continue;
        target.reflection().SetEnum(&target.message, &target.field, values.value(at));
        return {};
    }
    return about_parameter(target.name, "does not accept value '" + std::string(value.text()) + "'");
}

std::string decode_base64(std::string_view text, std::size_t size) {
    std::vector<std::byte> bytes(size + 2);
    bytes.resize(Base64Decoder(text).decode(bytes));
    return {static_cast<const char*>(static_cast<const void*>(bytes.data())), bytes.size()};
}

// Whether a JSON value selects this form of an alternate, by its type alone.
bool is_form_of(const FieldDescriptor& form, JsonKind kind) {
    switch (form.cpp_type()) {
        case FieldDescriptor::CPPTYPE_INT64:
            return is_number(kind);
        case FieldDescriptor::CPPTYPE_BOOL:
            return kind == JsonKind::kBool;
        case FieldDescriptor::CPPTYPE_ENUM:
            return kind == JsonKind::kString;
        default:
            check_failed();
    }
}

class Taker {
public:
    Taker(Dialect dialect, BulkText& bulk) : dialect_(dialect), bulk_(bulk) {}

    Refused take(std::optional<JsonValue> object, Message& message) {
        if (auto refused = take_members(object, message, "")) return refused;
        return std::move(bad_data_);
    }

private:
    // `path`: what stands before the names of the members.
    Refused take_members(std::optional<JsonValue> object, Message& message, const std::string& path) {
        const auto& type = *message.GetDescriptor();
        for (int at = 0; at < type.field_count(); ++at) {
            const FieldDescriptor& field = *type.field(at);
            const auto value = object ? find(*object, field) : std::nullopt;
            const std::string name = path + field.json_name();
            if (value) {
                const Target target{.message = message, .field = field, .name = name};
                if (auto refused = take_field(*value, target)) return refused;
            } else if (!field.has_optional_keyword()) {
                return about_parameter(name, "is missing");
            }
        }
        return object ? unexpected(*object, type, path) : std::nullopt;
    }

    [[nodiscard]] std::string_view preview_name(const FieldDescriptor& field) const {
        if (dialect_ != Dialect::kPreview) return {};
        const auto alias = std::ranges::find(kPreviewNames, field.json_name(), &Alias::current);
        return alias == kPreviewNames.end() ? std::string_view() : alias->preview;
    }

    [[nodiscard]] std::optional<JsonValue> find(JsonValue object, const FieldDescriptor& field) const {
        if (auto value = object.member(field.json_name())) return value;
        const std::string_view alias = preview_name(field);
        return alias.empty() ? std::nullopt : object.member(alias);
    }

    [[nodiscard]] Refused unexpected(JsonValue object, const google::protobuf::Descriptor& type,
                                     const std::string& path) const {
        Refused refused;
        for_each_member(object, [&](std::string_view name, JsonValue) {
            if (!refused && !is_declared(object, type, name))
                refused = about_parameter(path + std::string(name), "is unexpected");
        });
        return refused;
    }

    [[nodiscard]] bool is_declared(JsonValue object, const google::protobuf::Descriptor& type,
                                   std::string_view name) const {
        for (int at = 0; at < type.field_count(); ++at) {
            const FieldDescriptor& field = *type.field(at);
            if (field.json_name() == name) return true;
            // The old name is accepted only in place of the new one.
            if (!name.empty() && preview_name(field) == name) return !object.member(field.json_name());
        }
        return false;
    }

    Refused take_field(JsonValue value, Target target) {
        if (target.field.is_repeated()) return take_objects(value, target);
        switch (target.field.cpp_type()) {
            case FieldDescriptor::CPPTYPE_INT64:
                return take_int64(value, target);
            case FieldDescriptor::CPPTYPE_UINT64:
                return take_uint64(value, target);
            case FieldDescriptor::CPPTYPE_BOOL:
                return take_bool(value, target);
            case FieldDescriptor::CPPTYPE_DOUBLE:
                return take_double(value, target);
            case FieldDescriptor::CPPTYPE_STRING:
                return take_text(value, target);
            case FieldDescriptor::CPPTYPE_ENUM:
                return take_enum(value, target);
            case FieldDescriptor::CPPTYPE_MESSAGE:
                return take_alternate(value, target);
            default:
                check_failed();
        }
    }

    Refused take_text(JsonValue value, Target target) {
        if (value.kind() != JsonKind::kString) return wrong_type(target.name, "string");
        if (target.field.type() == FieldDescriptor::TYPE_BYTES) {
            take_base64(value.text(), target);
        } else {
            target.reflection().SetString(&target.message, &target.field, std::string(value.text()));
        }
        return {};
    }

    // Reported last, like qemu-ga, which decodes the data only when the command runs.
    void take_base64(std::string_view text, Target target) {
        const auto size = measure_base64(text);
        if (!size) {
            if (!bad_data_) bad_data_ = generic_error("Base64 data contains invalid characters");
        } else if (&target.field == bulk_.field) {
            bulk_.text = text;
            bulk_.size = *size;
        } else {
            target.reflection().SetString(&target.message, &target.field, decode_base64(text, *size));
        }
    }

    static Refused take_strings(JsonValue value, Target target) {
        if (value.kind() != JsonKind::kArray) return wrong_type(target.name, "array");
        Message& list = *target.reflection().MutableMessage(&target.message, &target.field);
        const FieldDescriptor& item = *list.GetDescriptor()->field(0);
        JsonValue element = value.child();
        for (std::size_t at = 0; at < value.size(); ++at, element = element.next()) {
            if (element.kind() != JsonKind::kString)
                return wrong_type(std::string(target.name) + "[" + std::to_string(at) + "]", "string");
            list.GetReflection()->AddString(&list, &item, std::string(element.text()));
        }
        return {};
    }

    Refused take_objects(JsonValue value, Target target) {
        if (value.kind() != JsonKind::kArray) return wrong_type(target.name, "array");
        if (value.size() > kMaxSetItems) return about_parameter(target.name, "is too long");
        JsonValue element = value.child();
        for (std::size_t at = 0; at < value.size(); ++at, element = element.next()) {
            const std::string name = std::string(target.name) + "[" + std::to_string(at) + "]";
            if (element.kind() != JsonKind::kObject) return wrong_type(name, "object");
            Message& item = *target.reflection().AddMessage(&target.message, &target.field);
            if (auto refused = take_members(element, item, name + ".")) return refused;
        }
        return {};
    }

    Refused take_alternate(JsonValue value, Target target) {
        const auto& type = *target.field.message_type();
        if (&type == schema::Strings::descriptor()) return take_strings(value, target);
        SALLYPORT_CHECK(type.real_oneof_decl_count() == 1);
        Message& alternate = *target.reflection().MutableMessage(&target.message, &target.field);
        const auto& forms = *type.oneof_decl(0);
        for (int at = 0; at < forms.field_count(); ++at)
            if (is_form_of(*forms.field(at), value.kind()))
                return take_field(value,
                                  {.message = alternate, .field = *forms.field(at), .name = target.name});
        return wrong_type(target.name, type.name());
    }

    Dialect dialect_;
    BulkText& bulk_;
    Refused bad_data_;
};

}  // namespace

std::optional<HostError> take_message(std::optional<JsonValue> arguments, Message& message, Dialect dialect,
                                      BulkText& bulk) {
    return Taker(dialect, bulk).take(arguments, message);
}

}  // namespace sallyport::worker
