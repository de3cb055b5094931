// The table of everything a worker can ask for, and the checks that stand before each answer.
// Runs in:  broker, after lockdown()
// Input:    frames of a worker that may have been taken over
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "broker/serve/answer.hpp"
#include "broker/serve/under_way.hpp"
#include "ipc/channel.hpp"

namespace sallyport::broker {

/// Which sequence number an operation must have.
enum class Numbered : std::uint8_t {
    kNext,  // a new request: one more than the last
    kPart,  // that of a transfer; its handler compares it
    kNone,  // 0
};

/// A request ends with a reply and a line in the log. A notice has neither.
using AnswerRequest = Answer (*)(Exchange&);
using HearWorker = std::optional<Violation> (*)(const Context&, const ipc::Request&);

struct Operation {
    ipc::Request::CommandCase op;
    std::string_view name;  // in the audit log; a query is logged under its command's name
    WorkerPhases phases;
    Numbered numbered;
    std::optional<CommandId> command;  // the host command, about which the policy decides first
    std::variant<AnswerRequest, HearWorker> by;
};

std::span<const Operation> operations();

/// Messages and buffers that are reused for each frame.
struct Wire {
    ipc::Frame frame;
    ipc::Request request;
    std::string bytes;
};

/// Carries out the frame in `wire`: checks, decides, answers, audits, replies. Returns the violation if the worker broke the contract;
/// then nothing was done and the worker must be ended.
std::optional<Violation> handle_frame(const Context& context, Wire& wire);

}  // namespace sallyport::broker
