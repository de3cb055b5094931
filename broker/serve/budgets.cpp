// Runs in:  broker, after lockdown()
#include "broker/serve/budgets.hpp"

#include <algorithm>

#include "base/clock.hpp"
#include "broker/serve/answer.hpp"

namespace sallyport::broker {

namespace {

using Of = policy::Bucket::Of;

std::optional<std::size_t> bucket_of(const Budgets& budgets, std::size_t rule, Of of) {
    for (std::size_t at = 0; at < budgets.buckets.size(); ++at)
        if (budgets.buckets[at].rule == rule && budgets.buckets[at].of == of) return at;
    return std::nullopt;
}

std::uint64_t left_in(const Budgets& budgets, std::optional<std::size_t> at) {
    return at ? policy::left(budgets.buckets[*at].flow, budgets.due[*at], awake_ns()) : UINT64_MAX;
}

void take(Budgets& budgets, Audit& audit, std::optional<std::size_t> at, std::uint64_t amount) {
    if (!at || amount == 0) return;
    std::int64_t& due = budgets.due[*at];
    due = policy::due_after(budgets.buckets[*at].flow, due, awake_ns(), amount);
    audit.keep_due(*at, due);
}

/// The rule's files that are open, or are being opened.
std::size_t count_open(const Session& session, std::size_t rule) {
    const auto is_opened = [rule](const auto& work) {
        return work && work->task.order.has_open() && work->task.grants.front().rule == rule;
    };
    const auto is_by = [rule](const auto& file) { return file.second.by == rule; };
    return static_cast<std::size_t>(std::ranges::count_if(session.files, is_by) +
                                    std::ranges::count_if(session.file_work, is_opened));
}

Refusal spent(Request& request, const char* budget) {
    request.record.arguments.add("budget", budget);
    return {.reason = ipc::SPENT, .why = "the rule's budget is spent"};
}

bool has_all_open(const Session& session, std::size_t rule) {
    const std::uint32_t most = session.policy.rules[rule].budget.concurrent;
    return most != 0 && count_open(session, rule) >= most;
}

bool is_rate_spent(const Session& session, std::size_t rule) {
    return left_in(session.budgets, bucket_of(session.budgets, rule, Of::kRequests)) == 0;
}

}  // namespace

std::optional<Refusal> take_request(const Context& context, Request& request, std::size_t rule) {
    Session& session = context.session;
    if (rule == policy::kNoRule) return std::nullopt;
    if (request.command() == CommandId::kFileOpen && has_all_open(session, rule))
        return spent(request, "concurrent");
    if (is_rate_spent(session, rule)) return spent(request, "rate");
    take(session.budgets, context.audit, bucket_of(session.budgets, rule, Of::kRequests), 1);
    return std::nullopt;
}

std::vector<std::uint32_t> spent_rules(const Session& session, std::size_t but) {
    std::vector<std::uint32_t> all;
    for (std::size_t rule = 0; rule < session.policy.rules.size(); ++rule) {
        const policy::Budget& budget = session.policy.rules[rule].budget;
        if (rule == but || (budget.rate.amount == 0 && budget.concurrent == 0)) continue;
        if (has_all_open(session, rule) || is_rate_spent(session, rule))
            all.push_back(static_cast<std::uint32_t>(rule));
    }
    return all;
}

Refusal spent_place(const Session& session, Request& request, std::size_t rule) {
    return spent(request, has_all_open(session, rule) ? "concurrent" : "rate");
}

std::optional<Refusal> take_request(Exchange& exchange, std::size_t rule) {
    return take_request(exchange.context, exchange.request, rule);
}

std::optional<Refusal> take_request(Exchange& exchange, std::string_view rule) {
    return take_request(exchange, rule_named(exchange.session.policy, rule));
}

std::uint64_t bytes_left(const Session& session, std::size_t rule, std::uint64_t wanted) {
    return std::min(wanted, left_in(session.budgets, bucket_of(session.budgets, rule, Of::kBytes)));
}

void take_bytes(const Context& context, std::size_t rule, std::uint64_t bytes) {
    Budgets& budgets = context.session.budgets;
    take(budgets, context.audit, bucket_of(budgets, rule, Of::kBytes), bytes);
}

void take_unheard(Session& session, Audit& audit) {
    std::optional<Read>& read = session.worker.read;
    std::optional<Write>& write = session.worker.write;
    if (write && write->part.clerk != 0) write->request.record.bytes = write->done + write->part.size;
    if (!read || read->part.clerk == 0) return;
    read->request.record.bytes = read->done + read->part.size;
    const auto file = session.files.find(read->handle);
    if (file == session.files.end()) return;
    Budgets& budgets = session.budgets;
    take(budgets, audit, bucket_of(budgets, file->second.by, Of::kBytes), read->part.size);
}

Refusal spent_bytes(Request& request) {
    return spent(request, "bytes");
}

std::size_t rule_named(const policy::Policy& policy, std::string_view id) {
    const auto at = std::ranges::find(policy.rules, id, &policy::Rule::id);
    SALLYPORT_CHECK(at != policy.rules.end());
    return static_cast<std::size_t>(at - policy.rules.begin());
}

}  // namespace sallyport::broker
