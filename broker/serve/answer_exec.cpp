// Answers guest-exec and guest-exec-status.
// Runs in:  broker, after lockdown()
// Input:    canonical requests in order; their words are still the worker's
// Relies on: policy/exec.cpp for the decision; the launcher, which decides once more, for the start
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "broker/serve/answer.hpp"
#include "ipc/codec.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

using policy::ExecMiss;
using policy::ExecWords;

constexpr std::size_t kWordsShown = 4096;  // bytes of a program's words that the audit log shows
using Capture = schema::GuestExecCaptureOutput;

// Returns the request from its frame or from the arena, or nothing if it is not canonical.
//
// THREAT: the worker changes the arena while we look. A copy is decoded.
std::optional<schema::Exec> exec_of(const Exchange& exchange) {
    const ipc::Request& asked = exchange.asked;
    if (!asked.has_bulk()) return asked.exec();
    const ipc::Extent& first = asked.bulk().first();
    const auto data = exchange.session.arena.extent(first.offset(), first.size());
    if (!data || asked.bulk().total() != data->size() || asked.exec().ByteSizeLong() != 0)
        return std::nullopt;
    std::string copy(data->size(), '\0');
    std::memcpy(copy.data(), data->data(), data->size());
    schema::Exec want;
    std::string scratch;
    if (!ipc::decode(copy, want, scratch)) return std::nullopt;
    return want;
}

policy::ExecRequest request_of(const schema::Exec& want) {
    policy::ExecRequest request{.program = want.path(),
                                .args = ExecWords(want.arg().item().begin(), want.arg().item().end()),
                                .env = {},
                                .input = {}};
    if (want.has_env()) request.env.emplace(want.env().item().begin(), want.env().item().end());
    if (want.has_input_data()) request.input = want.input_data().size();
    return request;
}

// THREAT: input and environment hold secrets. Only the size of the input and the names of the environment are recorded.
void write_down(const schema::Exec& want, JsonLine& arguments) {
    arguments.add("path", std::string_view(want.path()).substr(0, kMaxPath));
    std::string text;
    for (const std::string& word : want.arg().item()) {
        if (text.size() > kWordsShown) break;
        text.append(text.empty() ? "" : " ").append(word);
    }
    arguments.add("arg", std::string_view(text).substr(0, kWordsShown));
    arguments.add("args", std::int64_t{want.arg().item_size()});
    text.clear();
    for (const std::string& one : want.env().item()) {
        if (text.size() > kWordsShown) break;
        // What has no name may be a value.
        if (one.find('=') != one.npos) text.append(text.empty() ? "" : " ").append(one, 0, one.find('='));
    }
    if (want.has_env()) arguments.add("env", std::string_view(text).substr(0, kWordsShown));
    if (want.has_input_data()) arguments.add("input", static_cast<std::int64_t>(want.input_data().size()));
}

const char* why(ExecMiss miss) {
    switch (miss) {
        case ExecMiss::kProgram:
            return "no exec table has this program";
        case ExecMiss::kTime:
            return "the rule for this program does not count now";
        case ExecMiss::kArgs:
            return "no exec table of this program takes these words";
        case ExecMiss::kEnv:
            return "the exec table does not let the host set this environment";
        case ExecMiss::kInput:
            return "the exec table takes no input, or less";
        case ExecMiss::kNothing:
            break;
    }
    check_failed();
}

std::optional<Refusal> why_not_now(const Programs& programs, int by) {
    const auto running = std::ranges::count_if(
        programs.known, [&](const auto& one) { return one.second.by == by && !one.second.is_gone; });
    if (programs.start)
        return Refusal{.reason = ipc::NOT_STARTED, .sys_errno = EBUSY, .why = "another one is being started"};
    if (running >= programs.templates[by].concurrent() || programs.known.size() >= kMaxPrograms)
        return Refusal{
            .reason = ipc::NOT_STARTED, .sys_errno = EAGAIN, .why = "as many run as the rule accepts"};
    return std::nullopt;
}

std::string order_of(const schema::Exec& want, const policy::ExecDecision& decision, const Programs& programs,
                     std::int64_t number) {
    ipc::ExecOrder order;
    order.set_number(static_cast<std::uint64_t>(number));
    order.set_template_(static_cast<std::uint32_t>(decision.at));
    if (programs.templates[decision.at].program().empty()) order.set_program(want.path());
    for (const std::string_view value : decision.values) order.add_values(std::string(value));
    order.set_has_env(want.has_env());
    *order.mutable_env() = want.env().item();
    if (want.has_input_data()) order.set_input(want.input_data());
    const bool is_kept = want.has_capture_output();
    order.set_capture(
        static_cast<ipc::ExecOrder::Capture>(is_kept ? want.capture_output().mode() : Capture::NONE));
    std::string bytes;
    ipc::encode(order, bytes);
    return bytes;
}

}  // namespace

void describe_exec(const Exchange& exchange, JsonLine& arguments) {
    if (const auto want = exec_of(exchange)) write_down(*want, arguments);
}

Ruling judge_exec(const Judging& by, const Exchange& exchange) {
    const auto want = exec_of(exchange);
    if (!want) return {};
    const auto decision = policy::decide_exec(by.programs, request_of(*want), exchange.session.clock.now());
    if (decision.at < 0) return {};
    return {.is_allowed = true, .rule = by.programs[decision.at].rule()};
}

// INVARIANT: the request is in the audit log before anything is started; the loop tells the launcher after that.
Answer answer_exec(Exchange& exchange) {
    Session& session = exchange.session;
    if (exchange.asked.has_bulk() && session.files_hand.is_moving())
        return Refusal{.reason = ipc::NOT_STARTED,
                       .sys_errno = EBUSY,
                       .why = "a transfer of an earlier worker is under way"};
    const auto want = exec_of(exchange);
    if (!want) return Violation{"exec: words that no honest worker writes"};
    const auto mode = want->capture_output().value_case() == Capture::kMode ? want->capture_output().mode()
                                                                            : Capture::UNSPECIFIED;
    const bool is_capture = mode != Capture::UNSPECIFIED && Capture::Mode_IsValid(mode);
    if (want->has_capture_output() && !is_capture) return Violation{"exec: no such capture"};
    write_down(*want, exchange.request.record.arguments);
    Programs& programs = session.programs;
    const auto decision = policy::decide_exec(programs.templates, request_of(*want), session.clock.now());
    if (decision.at < 0) return Refusal{.reason = ipc::REFUSED, .why = why(decision.miss)};
    exchange.request.record.rule = programs.templates[decision.at].rule();
    if (auto refusal = why_not_now(programs, decision.at)) return *refusal;
    const std::size_t rule = rule_named(session.policy, exchange.request.record.rule);
    const std::size_t input = want->input_data().size();
    if (bytes_left(session, rule, input) < input) return spent_bytes(exchange.request);
    if (auto refusal = take_request(exchange, rule)) return *refusal;
    take_bytes(exchange.context, rule, input);
    const auto number = session.handles.take();
    if (!number) return Refusal{.reason = ipc::STATE_NOT_SAVED, .why = "state"};
    exchange.request.record.arguments.add("pid", *number);
    exchange.request.write_ahead(exchange.context.audit);
    exchange.request.due_ns = boottime_ns() + kExecStartNs;
    programs.known[*number] = Program{.by = decision.at, .ended = {}};
    std::string order = order_of(*want, decision, programs, *number);
    programs.start =
        ProgramStart{.request = std::move(exchange.request), .number = *number, .order = std::move(order)};
    return Later{};
}

Answer answer_exec_status(Exchange& exchange) {
    Session& session = exchange.session;
    const std::int64_t number = exchange.asked.exec_status().pid();
    const auto at = session.programs.known.find(number);
    const bool is_known = at != session.programs.known.end() && at->second.is_wanted;
    if (!is_known) {
        exchange.request.record.arguments.add("pid", number);
        return Refusal{.reason = ipc::BAD_HANDLE, .why = "no such program"};
    }
    const std::string& rule = session.programs.templates[at->second.by].rule();
    exchange.request.record.rule = rule;
    // As open files are, results are a host's by the rule that allowed the program, and only while that counts. In its next hours they
    // are still there.
    if (!policy::is_live(session.policy.rules[rule_named(session.policy, rule)], session.clock.now())) {
        exchange.request.record.arguments.add("pid", number);
        return Refusal{.reason = ipc::REFUSED, .why = why(ExecMiss::kTime)};
    }
    if (!at->second.ended) {
        exchange.request.due_ns = boottime_ns() + kStatusPatienceNs;
        session.worker.status = StatusWait{.request = std::move(exchange.request), .number = number};
    } else {
        give_result(exchange.context, std::move(exchange.request), number);
    }
    return Later{};
}

}  // namespace sallyport::broker
