// Answers guest-set-time, guest-set-vcpus and guest-set-memory-blocks.
// Runs in:  broker, after lockdown()
// Input:    canonical requests that were in order; their numbers are still the worker's. Frames of the launcher
// Relies on: policy/set.cpp for what may be set; the launcher, which decides the same again, for doing it
#include <algorithm>
#include <cerrno>

#include "base/clock.hpp"
#include "broker/serve/answer.hpp"
#include "ipc/limits.hpp"

namespace sallyport::broker {

namespace {

using ipc::SetDone;
using ipc::SetOrder;
using ipc::SetResult;
using policy::SetMiss;
using Results = google::protobuf::RepeatedPtrField<SetResult>;

constexpr std::size_t kItemsShown = 1024;  // bytes, in the audit log

const char* why(SetMiss miss) {
    switch (miss) {
        case SetMiss::kBounds:
            return "no rule lets all of these be set";
        case SetMiss::kTime:
            return "the rule for this does not count now";
        case SetMiss::kStep:
            return "the step is larger than the rule accepts";
        case SetMiss::kNothing:
            break;
    }
    check_failed();
}

// INVARIANT: nothing is set before its request is in the audit log; the loop tells the launcher after that.
Answer have_set(Exchange& exchange, SetOrder order, const policy::Clocks& now) {
    Settings& settings = exchange.session.settings;
    Request& request = exchange.request;
    const auto decision = policy::decide_set(settings.rules, order, now);
    if (decision.at < 0) return Refusal{.reason = ipc::REFUSED, .why = why(decision.miss)};
    request.record.rule = settings.rules[decision.at].rule();
    if (settings.under_way)
        return Refusal{.reason = ipc::SYSTEM, .sys_errno = EBUSY, .why = "an earlier request is under way"};
    if (auto refusal = take_request(exchange, request.record.rule)) return *refusal;
    request.write_ahead(exchange.context.audit);
    request.due_ns = boottime_ns() + kSetLateMs * kNsPerMs;
    order.set_number(++settings.ordered);
    settings.under_way.emplace(Setting{.request = std::move(request), .order = std::move(order)});
    return Later{};
}

void add_item(std::string& text, const std::string& number, bool is_online) {
    if (text.size() < kItemsShown)
        text.append(text.empty() ? "" : " ").append(number).append(is_online ? "=online" : "=offline");
}

int items_of(const SetOrder& order) {
    if (order.has_vcpus()) return order.vcpus().item_size();
    return order.has_blocks() ? order.blocks().item_size() : 1;
}

bool is_done(const SetResult& result) {
    return result.how() == SetResult::DONE || result.how() == SetResult::NO_RTC;
}

// Whether a setter can have said that about this order.
bool fits(const SetOrder& order, SetResult::How how) {
    if (how == SetResult::DONE || how == SetResult::BEYOND) return true;
    if (order.has_vcpus()) return how >= SetResult::CPU_DIRECTORY && how <= SetResult::CPU_WRITE;
    if (order.has_blocks()) return how >= SetResult::BLOCK_MISSING && how <= SetResult::BLOCK_FAILED;
    return how >= SetResult::CLOCK && how <= SetResult::RTC_WRITE;
}

// Of processors nothing follows the first that failed. All have a result, unless it is said why not.
bool fits(const SetOrder& order, const SetDone& said) {
    const Results& results = said.result();
    const int most = items_of(order);
    if (results.size() > most || !SetDone::End_IsValid(said.end())) return false;
    const auto failed = std::ranges::find_if_not(results, is_done);
    if (order.has_vcpus() && failed != results.end() && failed + 1 != results.end()) return false;
    const bool is_over = results.size() == most || (order.has_vcpus() && failed != results.end());
    return (said.end() == SetDone::WHOLE) == is_over && said.end() != SetDone::END_UNSPECIFIED &&
           std::ranges::all_of(results, [&](const SetResult& one) { return fits(order, one.how()); });
}

// The identity of the line.
std::string note_end(const Context& context, const SetDone& said, const Request* request) {
    Record record{.what = "set-ended"};
    if (request != nullptr) {
        record.session = request->worker();
        record.arguments.add("request", static_cast<std::int64_t>(request->seq()));
    }
    const auto done = std::ranges::count_if(said.result(), is_done);
    const bool is_whole = said.end() == SetDone::WHOLE && done == said.result_size();
    const bool is_beyond = said.end() == SetDone::EXPIRED ||
                           (!said.result().empty() && said.result(0).how() == SetResult::BEYOND);
    record.verdict = is_whole ? Verdict::kNote : is_beyond ? Verdict::kRefused : Verdict::kFailed;
    record.arguments.add("outcome", SetDone::End_Name(said.end()));
    record.arguments.add("done", std::int64_t{done});
    for (const SetResult& one : said.result()) {
        if (one.how() == SetResult::DONE) continue;
        record.arguments.add("first", SetResult::How_Name(one.how()));
        record.sys_errno = one.sys_errno();
        break;
    }
    return context.audit.write(record);
}

// Why nothing was set.
Refusal refusal_of(const SetDone& said) {
    switch (said.end()) {
        case SetDone::LATE:
            return {.reason = ipc::LATE, .why = "it was not set in time"};
        case SetDone::EXPIRED:
            return {.reason = ipc::REFUSED, .why = "the rule has expired, or the step has become too large"};
        case SetDone::BUSY:
            return {.reason = ipc::SYSTEM, .sys_errno = EBUSY, .why = "earlier ones wait in the kernel"};
        case SetDone::FAILED:
            return {.reason = ipc::SYSTEM, .sys_errno = said.sys_errno(), .why = "no setter can be started"};
        default:
            return {.reason = ipc::SYSTEM, .sys_errno = EIO, .why = "the setter has ended"};
    }
}

Refusal refusal_of(const SetResult& result) {
    const auto with = [&](ipc::Reason reason) {
        return Refusal{.reason = reason, .sys_errno = result.sys_errno()};
    };
    switch (result.how()) {
        case SetResult::BEYOND:
            return {.reason = ipc::REFUSED, .why = "the rule does not let it be that far"};
        case SetResult::RTC_READ:
        case SetResult::RTC_WRITE:
            return with(ipc::HARDWARE_CLOCK);
        case SetResult::CPU_DIRECTORY:
            return with(ipc::CPU_DIRECTORY);
        case SetResult::CPU_OPEN:
            return with(ipc::CPU_OPEN);
        case SetResult::CPU_READ:
            return with(ipc::CPU_READ);
        case SetResult::CPU_FIXED:
            return with(ipc::CPU_FIXED);
        case SetResult::CPU_WRITE:
            return with(ipc::CPU_WRITE);
        default:
            return with(ipc::SYSTEM);
    }
}

using Block = schema::SetMemoryBlocksReply::Block;

Block::Response response_of(SetResult::How how) {
    switch (how) {
        case SetResult::DONE:
            return Block::SUCCESS;
        case SetResult::BLOCK_MISSING:
            return Block::NOT_FOUND;
        case SetResult::BLOCK_UNSUPPORTED:
            return Block::OPERATION_NOT_SUPPORTED;
        default:
            return Block::OPERATION_FAILED;
    }
}

// One element for each block that was asked for; those that nobody came to have failed.
Reply reply_of_blocks(const SetOrder& order, const SetDone& said) {
    Reply reply;
    const int missing = said.end() == SetDone::LATE ? ETIMEDOUT : EIO;
    auto& all = *reply.mutable_set_memory_blocks();
    for (int at = 0; at < order.blocks().item_size(); ++at) {
        SetResult result;
        result.set_sys_errno(missing);
        if (at < said.result_size()) result = said.result(at);
        Block& one = *all.add_blocks();
        one.set_phys_index(order.blocks().item(at).index());
        one.set_response(response_of(result.how()));
        if (one.response() != Block::SUCCESS) one.set_error_code(result.sys_errno());
    }
    return reply;
}

void conclude(const Context& context, Setting setting, const SetDone& said, std::string line) {
    Request& request = setting.request;
    const Results& results = said.result();
    const bool has_none = results.empty() && items_of(setting.order) > 0;
    if (has_none || (!setting.order.has_blocks() && !results.empty() && !is_done(results[0]))) {
        Refusal refusal = has_none ? refusal_of(said) : refusal_of(results[0]);
        refusal.denial = std::move(line);
        return request.refuse(context, refusal);
    }
    if (setting.order.has_blocks()) return request.complete(context, reply_of_blocks(setting.order, said));
    Reply reply;
    if (setting.order.has_vcpus())
        reply.mutable_set_vcpus()->set_processed(std::ranges::count_if(results, is_done));
    else
        reply.mutable_set_time();
    request.complete(context, std::move(reply));
}

SetOrder order_of(const schema::SetTime& want) {
    SetOrder order;
    order.mutable_time();
    if (want.has_time()) order.mutable_time()->set_to_ns(want.time());
    return order;
}

SetOrder order_of(const schema::SetVcpus& want) {
    SetOrder order;
    order.mutable_vcpus();
    for (const auto& one : want.vcpus()) {
        ipc::SetOrder::Processor& item = *order.mutable_vcpus()->add_item();
        item.set_id(one.logical_id());
        item.set_online(one.online());
    }
    return order;
}

SetOrder order_of(const schema::SetMemoryBlocks& want) {
    SetOrder order;
    order.mutable_blocks();
    for (const auto& one : want.mem_blks()) {
        ipc::SetOrder::Block& item = *order.mutable_blocks()->add_item();
        item.set_index(one.phys_index());
        item.set_online(one.online());
    }
    return order;
}

SetOrder order_of(const ipc::Request& asked) {
    if (asked.has_set_time()) return order_of(asked.set_time());
    return asked.has_set_vcpus() ? order_of(asked.set_vcpus()) : order_of(asked.set_memory_blocks());
}

void write_down(JsonLine& arguments, const SetOrder& order, const policy::Clocks& now) {
    if (order.has_time() && order.time().has_to_ns()) {
        arguments.add("time", order.time().to_ns());
        arguments.add("step_ms", (order.time().to_ns() - now.wall_ns) / kNsPerMs);
    }
    if (order.has_time()) return;
    std::string text;
    for (const auto& one : order.vcpus().item()) add_item(text, std::to_string(one.id()), one.online());
    for (const auto& one : order.blocks().item()) add_item(text, std::to_string(one.index()), one.online());
    arguments.add("set", std::string_view(text).substr(0, kItemsShown));
    arguments.add("count", std::int64_t{items_of(order)});
}

policy::Clocks clocks_of(const Exchange& exchange) {
    return {.latest = exchange.session.clock.now().latest, .wall_ns = wall_ns()};
}

bool is_settable(const schema::SetTime& want) {
    return !want.has_time() || (want.time() >= 0 && want.time() < kSettableEndNs);
}

Answer have_set(Exchange& exchange, SetOrder order) {
    const policy::Clocks now = clocks_of(exchange);
    write_down(exchange.request.record.arguments, order, now);
    return have_set(exchange, std::move(order), now);
}

}  // namespace

void describe_set(const Exchange& exchange, JsonLine& arguments) {
    write_down(arguments, order_of(exchange.asked), clocks_of(exchange));
}

Ruling judge_set(const Judging& by, const Exchange& exchange) {
    const ipc::Request& asked = exchange.asked;
    if (asked.has_set_time() && !is_settable(asked.set_time())) return {};
    const auto decision = policy::decide_set(by.settings, order_of(asked), clocks_of(exchange));
    if (decision.at < 0) return {};
    return {.is_allowed = true, .rule = by.settings[decision.at].rule()};
}

Answer answer_set_time(Exchange& exchange) {
    const schema::SetTime& want = exchange.asked.set_time();
    if (!is_settable(want)) return Violation{"set-time: a time that no honest worker sends"};
    return have_set(exchange, order_of(want));
}

Answer answer_set_vcpus(Exchange& exchange) {
    const schema::SetVcpus& want = exchange.asked.set_vcpus();
    if (static_cast<std::size_t>(want.vcpus_size()) > kMaxSetItems)
        return Violation{"set-vcpus: more than an honest worker passes on"};
    return have_set(exchange, order_of(want));
}

Answer answer_set_memory_blocks(Exchange& exchange) {
    const schema::SetMemoryBlocks& want = exchange.asked.set_memory_blocks();
    if (static_cast<std::size_t>(want.mem_blks_size()) > kMaxSetItems)
        return Violation{"set-memory-blocks: more than an honest worker passes on"};
    return have_set(exchange, order_of(want));
}

std::optional<ipc::LauncherRequest> next_set_order(Session& session) {
    std::optional<Setting>& setting = session.settings.under_way;
    const bool is_busy = (session.launch && session.launch->is_told) || session.freezing.hooks_are_running();
    if (!setting || setting->is_told || is_busy) return std::nullopt;
    setting->is_told = true;
    setting->request.due_ns = boottime_ns() + kSetLateMs * kNsPerMs;
    ipc::LauncherRequest request;
    *request.mutable_set() = setting->order;
    return request;
}

Status hear_set(const Context& context, const SetDone& said) {
    Settings& settings = context.session.settings;
    std::optional<Setting>& setting = settings.under_way;
    const bool is_present = setting && setting->order.number() == said.number();
    const bool is_known = said.number() > settings.ended && said.number() <= settings.ordered;
    if (!is_known || (is_present && (!setting->is_told || !fits(setting->order, said))))
        return failure(Errc::kInvalid, "launcher: unexpected frame");
    settings.ended = said.number();
    std::string line = note_end(context, said, is_present ? &setting->request : nullptr);
    if (!is_present) return {};
    SetOrder order = std::move(setting->order);
    conclude(context, Setting{.request = take_back(setting), .order = std::move(order)}, said,
             std::move(line));
    return {};
}

void give_up_setting(const Context& context) {
    take_back(context.session.settings.under_way)
        .refuse(context, {.reason = ipc::LATE, .why = "the launcher does not report its end in time"});
}

}  // namespace sallyport::broker
