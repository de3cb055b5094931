// The command table: one row for each command of the protocol that this agent answers.
// Runs in:  every process; data only
//
// A row's index is its CommandId. Rows are in the order in which qemu-ga lists commands. A row is named like its messages in
// guest_agent.proto or inspect.proto: guest-file-open is FileOpen, answered by answer_file_open() in
// broker/serve/answer_file.cpp. tests/style fails if a row lacks its messages, its answer, its documentation or its hostile test.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sallyport {

/// The policy's groups. Frozen per schema version: a new command never joins a group that a policy already uses.
enum class Group : std::uint8_t {
    kSync,
    kInfo,
    kFile,
    kFreeze,
    kPower,
    kInspect,
    kExec,
    kAccounts,
    kHardware
};

/// Which process creates the answer.
enum class AnsweredBy : std::uint8_t { kWorker, kBroker, kInspector };

/// Whether a command is served while file systems are frozen.
enum class WhileFrozen : std::uint8_t { kNo, kYes };

/// Whether success has a reply; errors always have one.
enum class SuccessReply : std::uint8_t { kNone, kSent };

/// What an allow rule for the command must contain besides its name.
enum class Constraint : std::uint8_t {
    kNone,
    kFiles,
    kFreeze,
    kModes,
    kExec,
    kUsers,
    kTime,
    kVcpus,
    kMemory
};

/// Whether a policy can take the command away. Through the floor a host can always find out that the agent lives.
enum class Floor : std::uint8_t { kNo, kYes };

enum class CommandId : std::uint8_t {
    kSyncDelimited,
    kSync,
    kPing,
    kGetTime,
    kSetTime,
    kInfo,
    kShutdown,
    kFileOpen,
    kFileClose,
    kFileRead,
    kFileWrite,
    kFileSeek,
    kFileFlush,
    kFsfreezeStatus,
    kFsfreezeFreeze,
    kFsfreezeFreezeList,
    kFsfreezeThaw,
    kFstrim,
    kSuspendDisk,
    kSuspendRam,
    kSuspendHybrid,
    kNetworkGetInterfaces,
    kGetVcpus,
    kSetVcpus,
    kGetDisks,
    kGetFsinfo,
    kSetUserPassword,
    kGetMemoryBlocks,
    kSetMemoryBlocks,
    kGetMemoryBlockInfo,
    kExecStatus,
    kExec,
    kGetHostName,
    kGetUsers,
    kGetTimezone,
    kGetOsinfo,
    kSshGetAuthorizedKeys,
    kSshAddAuthorizedKeys,
    kSshRemoveAuthorizedKeys,
    kGetDiskstats,
    kGetCpustats,
    kGetLoad,
    kNetworkGetRoute,
};

struct Command {
    CommandId id;
    std::string_view name;
    Group group;
    AnsweredBy answered_by;
    WhileFrozen while_frozen;
    SuccessReply success_reply;
    Floor floor;
    Constraint constraint;
};

// clang-format off
inline constexpr std::array kCommands{
    //      id                                  name                           group            answered by             while frozen      success reply        floor        constraint
    Command{CommandId::kSyncDelimited,          "guest-sync-delimited",        Group::kSync,    AnsweredBy::kWorker,    WhileFrozen::kYes,SuccessReply::kSent, Floor::kYes, Constraint::kNone},
    Command{CommandId::kSync,                   "guest-sync",                  Group::kSync,    AnsweredBy::kWorker,    WhileFrozen::kYes,SuccessReply::kSent, Floor::kYes, Constraint::kNone},
    Command{CommandId::kPing,                   "guest-ping",                  Group::kInfo,    AnsweredBy::kWorker,    WhileFrozen::kYes,SuccessReply::kSent, Floor::kYes, Constraint::kNone},
    Command{CommandId::kGetTime,                "guest-get-time",              Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kSetTime,                "guest-set-time",              Group::kHardware,AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kTime},
    Command{CommandId::kInfo,                   "guest-info",                  Group::kInfo,    AnsweredBy::kWorker,    WhileFrozen::kYes,SuccessReply::kSent, Floor::kYes, Constraint::kNone},
    Command{CommandId::kShutdown,               "guest-shutdown",              Group::kPower,   AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kNone, Floor::kNo,  Constraint::kModes},
    Command{CommandId::kFileOpen,               "guest-file-open",             Group::kFile,    AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kFiles},
    Command{CommandId::kFileClose,              "guest-file-close",            Group::kFile,    AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kFileRead,               "guest-file-read",             Group::kFile,    AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kFileWrite,              "guest-file-write",            Group::kFile,    AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kFileSeek,               "guest-file-seek",             Group::kFile,    AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kFileFlush,              "guest-file-flush",            Group::kFile,    AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kFsfreezeStatus,         "guest-fsfreeze-status",       Group::kFreeze,  AnsweredBy::kWorker,    WhileFrozen::kYes,SuccessReply::kSent, Floor::kYes, Constraint::kNone},
    Command{CommandId::kFsfreezeFreeze,         "guest-fsfreeze-freeze",       Group::kFreeze,  AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kFreeze},
    Command{CommandId::kFsfreezeFreezeList,     "guest-fsfreeze-freeze-list",  Group::kFreeze,  AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kFreeze},
    Command{CommandId::kFsfreezeThaw,           "guest-fsfreeze-thaw",         Group::kFreeze,  AnsweredBy::kBroker,    WhileFrozen::kYes,SuccessReply::kSent, Floor::kYes, Constraint::kNone},
    Command{CommandId::kFstrim,                 "guest-fstrim",                Group::kFreeze,  AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kFreeze},
    Command{CommandId::kSuspendDisk,            "guest-suspend-disk",          Group::kPower,   AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kNone, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kSuspendRam,             "guest-suspend-ram",           Group::kPower,   AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kNone, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kSuspendHybrid,          "guest-suspend-hybrid",        Group::kPower,   AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kNone, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kNetworkGetInterfaces,   "guest-network-get-interfaces",Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kGetVcpus,               "guest-get-vcpus",             Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kSetVcpus,               "guest-set-vcpus",             Group::kHardware,AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kVcpus},
    Command{CommandId::kGetDisks,               "guest-get-disks",             Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kGetFsinfo,              "guest-get-fsinfo",            Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kSetUserPassword,           "guest-set-user-password",     Group::kAccounts, AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kUsers},
    Command{CommandId::kGetMemoryBlocks,        "guest-get-memory-blocks",     Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kSetMemoryBlocks,        "guest-set-memory-blocks",     Group::kHardware,AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kMemory},
    Command{CommandId::kGetMemoryBlockInfo,     "guest-get-memory-block-info", Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kExecStatus,             "guest-exec-status",           Group::kExec,    AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kExec,                   "guest-exec",                  Group::kExec,    AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kExec},
    Command{CommandId::kGetHostName,            "guest-get-host-name",         Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kGetUsers,               "guest-get-users",             Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kGetTimezone,            "guest-get-timezone",          Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kGetOsinfo,              "guest-get-osinfo",            Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kSshGetAuthorizedKeys,      "guest-ssh-get-authorized-keys", Group::kAccounts, AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kUsers},
    Command{CommandId::kSshAddAuthorizedKeys,      "guest-ssh-add-authorized-keys", Group::kAccounts, AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kUsers},
    Command{CommandId::kSshRemoveAuthorizedKeys,   "guest-ssh-remove-authorized-keys", Group::kAccounts, AnsweredBy::kBroker,    WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kUsers},
    Command{CommandId::kGetDiskstats,           "guest-get-diskstats",         Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kGetCpustats,            "guest-get-cpustats",          Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kGetLoad,                "guest-get-load",              Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
    Command{CommandId::kNetworkGetRoute,        "guest-network-get-route",     Group::kInspect, AnsweredBy::kInspector, WhileFrozen::kNo, SuccessReply::kSent, Floor::kNo,  Constraint::kNone},
};
// clang-format on

struct GroupName {
    Group group;
    std::string_view name;
};

inline constexpr std::array kGroups{
    GroupName{Group::kSync, "@sync"},         GroupName{Group::kInfo, "@info"},
    GroupName{Group::kFile, "@file"},         GroupName{Group::kFreeze, "@freeze"},
    GroupName{Group::kPower, "@power"},       GroupName{Group::kInspect, "@inspect"},
    GroupName{Group::kExec, "@exec"},         GroupName{Group::kAccounts, "@accounts"},
    GroupName{Group::kHardware, "@hardware"},
};

constexpr bool one_row_per_command_in_order() {
    for (std::size_t at = 0; at < kCommands.size(); ++at)
        if (static_cast<std::size_t>(kCommands[at].id) != at) return false;
    return kCommands.size() <= 64;
}
static_assert(one_row_per_command_in_order(), "a row's place is its CommandId, and a CommandSet has 64 bits");

constexpr const Command& command_row(CommandId id) {
    return kCommands[static_cast<std::size_t>(id)];
}

/// The command of exactly that name, or nothing.
constexpr std::optional<CommandId> find_command(std::string_view name) {
    for (const Command& row : kCommands)
        if (row.name == name) return row.id;
    return std::nullopt;
}

/// The command with that number, or nothing: numbers come from other processes.
constexpr std::optional<CommandId> command_from_number(std::uint32_t number) {
    if (number >= kCommands.size()) return std::nullopt;
    return static_cast<CommandId>(number);
}

/// A set of commands, one bit for each row.
class CommandSet {
public:
    constexpr CommandSet() = default;
    constexpr void add(CommandId id) { bits_ |= bit(id); }
    constexpr void remove(CommandId id) { bits_ &= ~bit(id); }
    [[nodiscard]] constexpr bool has(CommandId id) const { return (bits_ & bit(id)) != 0; }
    [[nodiscard]] constexpr std::uint64_t bits() const { return bits_; }
    [[nodiscard]] constexpr bool is_empty() const { return bits_ == 0; }
    constexpr CommandSet& operator|=(CommandSet other) {
        bits_ |= other.bits_;
        return *this;
    }
    constexpr CommandSet& operator&=(CommandSet other) {
        bits_ &= other.bits_;
        return *this;
    }
    constexpr CommandSet& operator-=(CommandSet other) {
        bits_ &= ~other.bits_;
        return *this;
    }
    constexpr bool operator==(const CommandSet&) const = default;

private:
    static constexpr std::uint64_t bit(CommandId id) { return std::uint64_t{1} << static_cast<unsigned>(id); }
    std::uint64_t bits_ = 0;
};

constexpr CommandSet floor_commands() {
    CommandSet set;
    for (const Command& row : kCommands)
        if (row.floor == Floor::kYes) set.add(row.id);
    return set;
}

}  // namespace sallyport
