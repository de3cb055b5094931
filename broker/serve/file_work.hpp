// Requests about files that need a clerk of the files hand: hands out the orders, and ends the requests by the clerks' reports.
// Runs in:  broker, after lockdown()
// Input:    reports of clerks
#pragma once

#include "broker/serve/answer.hpp"

namespace sallyport::broker {

/// Takes the request of an exchange; its order goes to the file's own clerk, or to any.
Answer begin_work(Exchange& exchange, FileTask task);

/// Gives orders to free clerks for what waits; refuses it if no clerk will come.
void give_out(const Context& context);

/// Ends or continues the requests of clerks that have reported, or that are late.
void hear_clerks(const Context& context);

/// Ends everything that waits for a clerk.
void refuse_waiting(const Context& context, const Refusal& refusal);

/// Ends one request that has waited too long for a clerk. False if there is none.
bool end_late_work(const Context& context, std::int64_t now_ns);

/// Removes a handle of the host; a clerk closes the file.
void drop_file(Session& session, std::int64_t handle);

/// The refusal for a lost clerk. A file that it kept is lost with it.
Refusal lost_clerk(Session& session, const ClerkReport& said);

Refusal too_many_hang();
Refusal gone_or_busy();

// The parts of reads and writes; see answer_transfer.cpp.
void order_part(const Context& context, Read& read);
void order_part(const Context& context, Write& write);
void take_part(const Context& context, Read& read, const ClerkReport& said);
void take_part(const Context& context, Write& write, const ClerkReport& said);
void refuse_part(const Context& context, Read& read, const Refusal& refusal);
void refuse_part(const Context& context, Write& write, const Refusal& refusal);

}  // namespace sallyport::broker
