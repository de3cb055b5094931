// The table of everything a worker can ask for, and the checks that stand before each answer.
// Runs in:  broker, after lockdown()
// Input:    frames of a worker that may have been taken over
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "broker/answer.hpp"
#include "ipc/channel.hpp"
#include "ipc/inspector.pb.h"

namespace sallyport::broker {

/// The phases in which an operation may come.
struct Phases {
    bool greeting = false;
    bool idle = false;
    bool reading = false;
    bool writing = false;
    bool waiting = false;
    bool inspecting = false;
    [[nodiscard]] bool has(Phase phase) const;
};

/// How an operation's sequence number must be.
enum class Numbered : std::uint8_t {
    kNext,  // a new request: one more than the last
    kPart,  // about a transfer: the answer compares it
    kNone,  // 0
};

struct Operation {
    ipc::Request::CommandCase op;
    std::string_view name;  // as the audit log has it
    Phases phases;
    Numbered numbered;
    std::optional<CommandId> command;  // the host command that it carries out: policy decides about it first
    Answer (*answer)(Exchange&);
};

std::span<const Operation> operations();

/// Gives one reply to the worker.
using SendReply = std::function<Status(const ipc::Reply&)>;

/// Makes the error reply for a refusal and audits it; the reply has the identity of its audit line if it was the policy's.
void tell_host(const Refusal& refusal, Exchange& exchange, Audit& audit);

/// Messages and bytes that are used again for each frame.
struct Wire {
    ipc::Frame frame;
    ipc::Request request;
    ipc::Reply reply;
    ipc::InspectorReply inspected;
    std::string bytes;
};

/// Carries out the frame in `wire`: checks, decides, answers, audits, replies. Gives back the violation if
/// the worker broke the contract; then nothing was done and the worker must be ended.
std::optional<Violation> handle_frame(Session& session, Audit& audit, Wire& wire, const SendReply& send);

/// Goes on with the query that is under way, if `wire.inspected` is about it.
std::optional<Violation> handle_inspector(Session& session, Audit& audit, Wire& wire, const SendReply& send);

/// Audits a request that was being carried out when its worker ended.
void conclude_lost(Session& session, Audit& audit);

}  // namespace sallyport::broker
