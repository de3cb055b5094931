// What is left of each rule's budget.
// Runs in:  broker, after lockdown()
// Relies on: policy/budget for the reckoning; the recorder, which keeps what is taken
//
// THREAT: a worker that was taken over floods us, or ends and is replaced. Budgets are the session's, and are taken before anything is
// done. INVARIANT: what is taken is in the ring by then, so that a later agent knows it whoever of us is killed.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "broker/serve/request.hpp"
#include "policy/budget.hpp"

namespace sallyport::broker {

struct Exchange;

struct Budgets {
    std::vector<policy::Bucket> buckets;
    std::vector<std::int64_t> due;  // when each is full, by awake_ns()
};

/// Takes one request of the rule's `rate`, if it has one; a refusal if none is left, or if another file would be open than its
/// `concurrent` lets.
std::optional<Refusal> take_request(const Context& context, Request& request, std::size_t rule);
std::optional<Refusal> take_request(Exchange& exchange, std::size_t rule);
/// The same for a rule that is known by its id.
std::optional<Refusal> take_request(Exchange& exchange, std::string_view rule);

/// The rules by which no file can be opened now, for want of a budget, but for the one that has just paid.
std::vector<std::uint32_t> spent_rules(const Session& session, std::size_t but);
/// The refusal of an open for one of these; its record says so.
Refusal spent_place(const Session& session, Request& request, std::size_t rule);

/// How many bytes the rule lets move now, at most `wanted`.
std::uint64_t bytes_left(const Session& session, std::size_t rule, std::uint64_t wanted);

/// Takes bytes that are left, before they are moved.
void take_bytes(const Context& context, std::size_t rule, std::uint64_t bytes);

/// THREAT: a worker that was taken over ends while a clerk brings a part of a file into the arena, where the next worker reads it; or the
/// clerk is late or gone. That part is paid for and recorded as it was ordered, since nobody hears how much came. A part of a write, which
/// is paid for, is recorded so, too: the clerk goes on with it.
void take_unheard(Session& session, Audit& audit);

/// The refusal of a request whose rule has not enough `bytes` left; its record says so.
Refusal spent_bytes(Request& request);

/// The number of the rule with that id.
std::size_t rule_named(const policy::Policy& policy, std::string_view id);

}  // namespace sallyport::broker
