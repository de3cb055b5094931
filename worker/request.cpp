#include "worker/request.hpp"

#include <malloc.h>

#include "base/secret.hpp"
#include "ipc/limits.hpp"
#include "worker/json_writer.hpp"
#include "worker/reply.hpp"

namespace sallyport::worker {

namespace {

struct Members {
    std::optional<JsonValue> command;
    std::optional<JsonValue> arguments;
};

// The first error, in the host's order of members.
std::optional<HostError> take_member(std::string_view name, JsonValue value, Members& members) {
    if (name == "execute") {
        if (value.kind() != JsonKind::kString)
            return generic_error("QMP input member 'execute' must be a string");
        members.command = value;
    } else if (name == "arguments") {
        if (value.kind() != JsonKind::kObject)
            return generic_error("QMP input member 'arguments' must be an object");
        members.arguments = value;
    } else if (name != "id") {
        return generic_error("QMP input member '" + std::string(name) + "' is unexpected");
    }
    return {};
}

std::optional<HostError> take_members(JsonValue object, Members& members) {
    std::optional<HostError> refused;
    for_each_member(object, [&](std::string_view name, JsonValue value) {
        if (!refused) refused = take_member(name, value, members);
    });
    if (!refused && !members.command) refused = generic_error("QMP input lacks member 'execute'");
    return refused;
}

// The broker knows only numbers.
void name_to_code(schema::GuestFileWhence& whence) {
    if (whence.has_name()) whence.set_code(whence.name() - schema::GuestFileWhence::SET);
}

void name_mode(schema::Exec& exec) {
    using Capture = schema::GuestExecCaptureOutput;
    if (!exec.has_capture_output() || exec.capture_output().has_mode()) return;
    const bool is_all = exec.capture_output().all();
    exec.mutable_capture_output()->set_mode(is_all ? Capture::SEPARATED : Capture::NONE);
}

// As qemu-ga, but that a NUL is no end: what it would cut off is refused.
std::optional<HostError> check_password(const schema::SetUserPassword& asked) {
    if (asked.password().find_first_of(std::string_view("\n\0", 2)) != std::string::npos)
        return generic_error("forbidden characters in raw password");
    if (asked.username().find_first_of("\n:") != std::string::npos)
        return generic_error("forbidden characters in username");
    if (asked.password().size() > kMaxPassword)
        return generic_error("the password is longer than " + std::to_string(kMaxPassword) + " bytes");
    return {};
}

std::optional<HostError> check_keys(const schema::Strings& keys) {
    for (const std::string& key : keys.item())
        if (key.starts_with('#') || key.find('\n') != std::string::npos)
            return generic_error("invalid OpenSSH public key: '" + key + "'");
    return {};
}

std::optional<HostError> check_account(const ipc::Request& request) {
    if (request.has_set_user_password()) return check_password(request.set_user_password());
    std::optional<HostError> refused;
    if (request.has_ssh_add_authorized_keys()) refused = check_keys(request.ssh_add_authorized_keys().keys());
    if (request.has_ssh_remove_authorized_keys())
        refused = check_keys(request.ssh_remove_authorized_keys().keys());
    if (!refused && request.ByteSizeLong() > kMaxAccountOrder)
        refused = generic_error("the keys are longer than " + std::to_string(kMaxAccountOrder) + " bytes");
    return refused;
}

// As qemu-ga divides it, towards zero; the year by UTC.
std::optional<HostError> check_time(schema::SetTime& want) {
    constexpr std::int64_t kNsPerSecond = 1'000'000'000;
    if (!want.has_time()) return {};
    if (want.time() <= -kNsPerSecond || want.time() >= kSettableEndNs) return generic_error("Invalid time");
    if (want.time() <= -1000) return generic_error("Failed to set time to guest: Invalid argument");
    want.set_time(want.time() / 1000 * 1000);
    return {};
}

// What means nothing does not go on.
void forget_offline(ipc::Request& request) {
    if (request.has_set_vcpus())
        for (auto& one : *request.mutable_set_vcpus()->mutable_vcpus()) one.clear_can_offline();
    if (request.has_set_memory_blocks())
        for (auto& one : *request.mutable_set_memory_blocks()->mutable_mem_blks()) one.clear_can_offline();
}

void ask_in_vain(CommandId id, Pending& pending) {
    pending.fate = Fate::kAsk;
    pending.request.mutable_command_disabled()->set_command(static_cast<std::uint32_t>(id));
}

std::optional<HostError> take_command(JsonDocument& document, const Members& members, Commands& commands,
                                      Pending& pending) {
    const std::string_view name = members.command->text();
    const auto id = find_command(name);
    if (!id) return command_not_found(name);
    pending.command = *id;
    pending.is_sync = command_row(*id).group == Group::kSync;
    if (!commands.is_enabled(*id) && !commands.is_tried(*id)) {
        ask_in_vain(*id, pending);
        return {};
    }
    if (commands.inspected_field(*id) != nullptr) {
        pending.fate = Fate::kAsk;
        pending.request.mutable_inspect()->set_command(static_cast<std::uint32_t>(*id));
        return commands.take_none(members.arguments);
    }
    const auto* field = commands.request_field(*id);
    if (Commands::is_of_now(*id)) pending.fate = Fate::kOfNow;
    if (field == nullptr) return commands.answer(*id, members.arguments, pending.id, pending.reply);

    BulkText bulk{.field = commands.bulk_field()};
    auto& request = *pending.request.GetReflection()->MutableMessage(&pending.request, field);
    if (auto refused = take_message(members.arguments, request, commands.dialect(), bulk)) return refused;
    if (pending.request.has_fsfreeze_freeze_list() && pending.request.ByteSizeLong() > kMaxMountList)
        return generic_error("Parameter 'mountpoints' is too long");
    if (pending.request.has_set_time())
        if (auto refused = check_time(*pending.request.mutable_set_time())) return refused;
    forget_offline(pending.request);
    if (pending.request.has_exec()) {
        name_mode(*pending.request.mutable_exec());
        if (pending.request.exec().ByteSizeLong() > kMaxExec)
            return generic_error("Words, environment and input of a program are longer than 1 MiB");
    }
    if (command_row(*id).group == Group::kAccounts)
        if (auto refused = check_account(pending.request)) return refused;
    pending.fate = Fate::kAsk;
    if (pending.request.has_file_seek()) name_to_code(*pending.request.mutable_file_seek()->mutable_whence());
    if (pending.request.has_file_write()) {
        pending.data_length = bulk.text.size();
        pending.data_size = bulk.size;
        pending.data_offset = document.release_text(bulk.text, pending.text);
    }
    return {};
}

std::optional<HostError> take_value(JsonDocument& document, Commands& commands, Pending& pending) {
    const JsonValue root = document.root();
    if (root.kind() != JsonKind::kObject) return generic_error("QMP input must be a JSON object");
    if (const auto id = root.member("id")) append_value(pending.id, *id);
    Members members;
    if (auto refused = take_members(root, members)) return refused;
    auto refused = take_command(document, members, commands, pending);
    if (!refused) return {};
    // A command that is only tried looks to the host like every other that is disabled, whatever its arguments.
    const auto id = find_command(members.command->text());
    if (!id || !commands.is_tried(*id)) return refused;
    forget_secret(pending.request);
    pending.request.Clear();
    ask_in_vain(*id, pending);
    return {};
}

}  // namespace

void forget_secret(ipc::Request& request) {
    if (request.has_set_user_password()) wipe(*request.mutable_set_user_password()->mutable_password());
}

void Pending::clear(std::size_t kept) {
    // Contents are in `text`; no honest host has a name, mode or id of this size.
    const bool is_odd =
        reply.capacity() > kKeptOfMany || id.capacity() > kKeptOfMany || request_size > kKeptOfMany;
    fate = Fate::kAnswered;
    is_sync = false;
    forget_secret(request);
    empty(reply, kKeptOfMany);
    empty(id, kKeptOfMany);
    if (request_size > kKeptOfMany)
        ipc::Request().Swap(&request);
    else
        request.Clear();
    request_size = 0;
    empty(text, kept);
    data_offset = data_length = data_size = 0;
    // The freed copies lie between memory in use, and the C library would keep them.
    if (is_odd) ::malloc_trim(0);
}

void take_request(JsonDocument& document, Commands& commands, Pending& pending) {
    pending.clear();
    if (const auto refused = take_value(document, commands, pending)) {
        pending.fate = Fate::kAnswered;
        pending.is_sync = false;
        pending.reply.clear();
        append_error(pending.reply, *refused, pending.id);
        forget_secret(pending.request);
    }
    // Also what was none, or was not enabled: the parser had it.
    if (pending.command == CommandId::kSetUserPassword) wipe_stack();
    pending.request_size = pending.request.ByteSizeLong();
}

}  // namespace sallyport::worker
