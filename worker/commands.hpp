// The commands by name: which exist, which are enabled, and the replies that need no broker.
// Runs in:  worker
#pragma once

#include <google/protobuf/descriptor.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "ipc/broker.pb.h"
#include "schema/commands.hpp"
#include "worker/host_error.hpp"
#include "worker/json_codec.hpp"

namespace sallyport::worker {

class Commands {
public:
    /// Finds the messages of every command. Before lockdown: libprotobuf builds its tables on first use, with system calls that a
    /// confined worker does not have.
    Commands();

    /// The broker's Welcome: which commands are enabled, and the names of arguments.
    void welcome(const ipc::Welcome& welcome);
    /// Sets the reply to guest-fsfreeze-status. While file systems are frozen guest-info shows few commands as enabled, unless
    /// the rest cannot be thawed.
    void set_frozen(bool is_frozen, bool is_stuck);

    [[nodiscard]] bool is_enabled(CommandId id) const { return enabled_.has(id); }
    /// Whether the broker wants to be asked for it although it is not enabled.
    [[nodiscard]] bool is_tried(CommandId id) const { return tried_.has(id); }
    [[nodiscard]] Dialect dialect() const { return dialect_; }
    /// The member of ipc.Request for the command's arguments; null if the worker answers the command, or if it is read-only.
    [[nodiscard]] const google::protobuf::FieldDescriptor* request_field(CommandId id) const {
        return fields_[static_cast<std::size_t>(id)];
    }
    /// The member of schema.Inspected for the command's reply; null if the command is not read-only.
    [[nodiscard]] const google::protobuf::FieldDescriptor* inspected_field(CommandId id) const {
        return inspected_fields_[static_cast<std::size_t>(id)];
    }
    /// The field of a file write that goes through the arena.
    [[nodiscard]] const google::protobuf::FieldDescriptor* bulk_field() const { return bulk_field_; }

    /// The error in the arguments of a command that takes none.
    std::optional<HostError> take_none(std::optional<JsonValue> arguments);

    /// Whether the reply shows a state that can change before it is the request's turn.
    [[nodiscard]] static bool is_of_now(CommandId id) {
        return id == CommandId::kInfo || id == CommandId::kFsfreezeStatus;
    }
    struct OfNow {
        CommandId command = CommandId::kInfo;
        std::string_view id;  // of the request
        bool is_freezing =
            false;  // a freeze is not answered yet: this counts as frozen, whatever the broker has said
    };
    /// Appends the whole reply of such a command. answer() has accepted its arguments.
    void answer_of_now(const OfNow& asked, std::string& out) const;

    /// Answers a command that needs no broker. Returns the error in its arguments, or appends the whole reply, unless that shows
    /// a state (is_of_now()).
    std::optional<HostError> answer(CommandId id, std::optional<JsonValue> arguments,
                                    std::string_view request_id, std::string& reply);

private:
    std::optional<HostError> answer_sync(std::optional<JsonValue> arguments, std::string_view request_id,
                                         std::string& reply);

    using Fields = std::array<const google::protobuf::FieldDescriptor*, kCommands.size()>;
    Fields fields_{};
    Fields inspected_fields_{};
    const google::protobuf::FieldDescriptor* bulk_field_;
    CommandSet enabled_;
    CommandSet tried_;
    Dialect dialect_ = Dialect::kCurrent;
    // Reused messages.
    schema::Sync sync_;
    schema::SyncReply sync_reply_;
    schema::Ping ping_;
    schema::PingReply ping_reply_;
    schema::InfoReply info_reply_;
    bool is_frozen_ = false;
};

}  // namespace sallyport::worker
