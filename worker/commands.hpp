// The commands by name: which there are, which are enabled, and the answers that need no broker.
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
    /// Finds every command's messages. Before lockdown: libprotobuf builds its tables when they are first
    /// asked for, with system calls that a worker does not have afterwards.
    Commands();

    /// What the broker said: which commands are enabled, and the names of arguments.
    void welcome(const ipc::Welcome& welcome);
    /// What guest-fsfreeze-status says; while file systems are frozen guest-info shows few commands as enabled,
    /// unless what is left cannot be thawed.
    void set_frozen(bool is_frozen, bool is_stuck);

    [[nodiscard]] bool is_enabled(CommandId id) const { return enabled_.has(id); }
    [[nodiscard]] Dialect dialect() const { return dialect_; }
    /// The member of ipc.Request that holds the command's arguments; null if the worker answers it, or if it only looks.
    [[nodiscard]] const google::protobuf::FieldDescriptor* request_field(CommandId id) const {
        return fields_[static_cast<std::size_t>(id)];
    }
    /// The member of schema.Inspected that holds the command's reply; null if it does more than look.
    [[nodiscard]] const google::protobuf::FieldDescriptor* inspected_field(CommandId id) const {
        return inspected_fields_[static_cast<std::size_t>(id)];
    }
    /// The field of a file write that goes through the arena.
    [[nodiscard]] const google::protobuf::FieldDescriptor* bulk_field() const { return bulk_field_; }

    /// What is wrong with the arguments of a command that has none.
    std::optional<HostError> take_none(std::optional<JsonValue> arguments);

    /// Whether the reply tells a state that may change before the request's turn comes.
    [[nodiscard]] static bool is_of_now(CommandId id) {
        return id == CommandId::kInfo || id == CommandId::kFsfreezeStatus;
    }
    struct OfNow {
        CommandId command = CommandId::kInfo;
        std::string_view id;  // of the request
        bool is_freezing =
            false;  // a freeze is not answered yet: it counts as frozen, whatever the broker has said
    };
    /// Appends the whole reply of such a command, whose arguments answer() has found good.
    void answer_of_now(const OfNow& asked, std::string& out) const;

    /// Answers a command that needs no broker: says what is wrong with the arguments, or appends the whole reply unless that is
    /// one of now.
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
    Dialect dialect_ = Dialect::kCurrent;
    // Used again and again.
    schema::Sync sync_;
    schema::SyncReply sync_reply_;
    schema::Ping ping_;
    schema::PingReply ping_reply_;
    schema::InfoReply info_reply_;
    bool is_frozen_ = false;
};

}  // namespace sallyport::worker
