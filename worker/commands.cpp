#include "worker/commands.hpp"

#include <algorithm>
#include <ranges>

#include "base/result.hpp"
#include "schema/inspect.pb.h"
#include "worker/reply.hpp"

namespace sallyport::worker {

namespace {

constexpr std::string_view kPrefix = "guest-";
constexpr char kSentinel = '\xFF';  // precedes a successful guest-sync-delimited reply

// guest-file-open is file_open in ipc.Request.
std::string field_name(std::string_view command) {
    std::string name(command.substr(kPrefix.size()));
    std::ranges::replace(name, '-', '_');
    return name;
}

// Makes libprotobuf build all its tables for a message type, which it otherwise does on first use.
void build_tables(const google::protobuf::Descriptor& type) {
    const auto* sample = google::protobuf::MessageFactory::generated_factory()->GetPrototype(&type);
    SALLYPORT_CHECK(sample != nullptr && sample->GetReflection() != nullptr);
    for (int at = 0; at < type.field_count(); ++at) {
        const auto& field = *type.field(at);
        if (field.message_type() == nullptr) field.enum_type();
    }
    for (int at = 0; at < type.nested_type_count(); ++at) build_tables(*type.nested_type(at));
}

void build_tables(const google::protobuf::FileDescriptor& file) {
    for (int at = 0; at < file.message_type_count(); ++at) build_tables(*file.message_type(at));
}

schema::InfoReply info_of(const CommandSet& enabled) {
    schema::InfoReply info;
    info.set_version(SALLYPORT_VERSION);
    for (const Command& row : kCommands | std::views::reverse) {
        auto& entry = *info.add_supported_commands();
        entry.set_enabled(enabled.has(row.id));
        entry.set_name(std::string(row.name));
        entry.set_success_response(row.success_reply == SuccessReply::kSent);
    }
    return info;
}

}  // namespace

Commands::Commands() {
    const auto& request = *ipc::Request::descriptor();
    const auto& inspected = *schema::Inspected::descriptor();
    for (const Command& row : kCommands) {
        if (row.answered_by == AnsweredBy::kWorker) continue;
        const bool looks = row.answered_by == AnsweredBy::kInspector;
        const auto* field = (looks ? inspected : request).FindFieldByName(field_name(row.name));
        SALLYPORT_CHECK(field != nullptr);
        (looks ? inspected_fields_ : fields_)[static_cast<std::size_t>(row.id)] = field;
    }
    bulk_field_ = schema::FileWrite::descriptor()->FindFieldByName("buf_b64");
    SALLYPORT_CHECK(bulk_field_ != nullptr);
    build_tables(*schema::Ping::descriptor()->file());
    build_tables(*request.file());
    build_tables(*inspected.file());
}

void Commands::welcome(const ipc::Welcome& welcome) {
    for (const std::uint32_t number : welcome.enabled())
        if (const auto id = command_from_number(number)) enabled_.add(*id);
    for (const std::uint32_t number : welcome.tried())
        if (const auto id = command_from_number(number)) tried_.add(*id);
    dialect_ = welcome.preview_names() ? Dialect::kPreview : Dialect::kCurrent;
    set_frozen(welcome.frozen(), welcome.stuck());
}

void Commands::set_frozen(bool is_frozen, bool is_stuck) {
    CommandSet answered = enabled_;
    for (const Command& row : kCommands)
        if (is_frozen && !is_stuck && row.while_frozen == WhileFrozen::kNo) answered.remove(row.id);
    info_reply_ = info_of(answered);
    is_frozen_ = is_frozen;
}

void Commands::answer_of_now(const OfNow& asked, std::string& out) const {
    if (asked.command == CommandId::kInfo) return append_success(out, info_reply_, asked.id);
    schema::FsfreezeStatusReply status;
    status.set_value(is_frozen_ || asked.is_freezing ? schema::FsfreezeStatusReply::FROZEN
                                                     : schema::FsfreezeStatusReply::THAWED);
    append_success(out, status, asked.id);
}

std::optional<HostError> Commands::take_none(std::optional<JsonValue> arguments) {
    BulkText none;
    return take_message(arguments, ping_, dialect_, none);
}

std::optional<HostError> Commands::answer_sync(std::optional<JsonValue> arguments,
                                               std::string_view request_id, std::string& reply) {
    BulkText none;
    if (auto refused = take_message(arguments, sync_, dialect_, none)) return refused;
    sync_reply_.set_value(sync_.id());
    append_success(reply, sync_reply_, request_id);
    return {};
}

std::optional<HostError> Commands::answer(CommandId id, std::optional<JsonValue> arguments,
                                          std::string_view request_id, std::string& reply) {
    switch (id) {
        case CommandId::kSyncDelimited:
            reply = kSentinel;
            return answer_sync(arguments, request_id, reply);
        case CommandId::kSync:
            return answer_sync(arguments, request_id, reply);
        case CommandId::kPing:
            if (auto refused = take_none(arguments)) return refused;
            append_success(reply, ping_reply_, request_id);
            return {};
        case CommandId::kInfo:
        case CommandId::kFsfreezeStatus:
            return take_none(arguments);
        default:
            check_failed();
    }
}

}  // namespace sallyport::worker
