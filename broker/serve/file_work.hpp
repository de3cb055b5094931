// Requests about files that a clerk of the files hand has a part of: given out, and ended by what the clerk reports.
// Runs in:  broker, after lockdown()
// Input:    reports of clerks
#pragma once

#include "broker/serve/answer.hpp"

namespace sallyport::broker {

/// Takes the request of an exchange, to have `order` carried out by the file's own clerk, or by any.
Answer begin_work(Exchange& exchange, FileTask task);

/// Gives an order to those who wait for a clerk, as far as there are any; refuses them if there will be none.
void give_out(const Context& context);

/// Ends, or goes on with, what clerks have reported about, and what they should have.
void hear_clerks(const Context& context);

/// Ends all who wait for a clerk.
void refuse_waiting(const Context& context, const Refusal& refusal);

/// Ends one who has waited too long for a clerk. False if there is none.
bool end_late_work(const Context& context, std::int64_t now_ns);

/// The file is not open for the host any more. Its closing is left to a clerk.
void drop_file(Session& session, std::int64_t handle);

/// Why a clerk's part was not done, for a file that is used, and that is gone with its clerk if that kept it.
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
