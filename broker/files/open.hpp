// Carries out an open that the policy allows, or says why it cannot.
// Runs in:  files, in a clerk
// Input:    orders whose path and grants policy/decide has judged
// Relies on: walk.hpp for where the path leads, judge.hpp for what is there
#pragma once

#include "broker/files/order.hpp"
#include "broker/files/table.hpp"

namespace sallyport::files {

/// Opens or creates the file of `order`, under the first grant that accepts it. If none does, the error is about the first grant,
/// which is the one for the deepest directory.
///
/// THREAT: somebody acts between two of our steps. The inode that is opened is the one that was judged (reopen()), and a created
/// file did not exist (O_EXCL). The place that the kernel then reports for it is judged again, as if the host had named it.
Outcome<Opened> open(const Table& table, const Order& order);

}  // namespace sallyport::files
