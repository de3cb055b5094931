// Carries out an open that the policy allows, or says why not.
// Runs in:  files, in a clerk
// Input:    orders whose path and grants policy/decide has judged
// Relies on: walk.hpp for where the path leads, judge.hpp for what is there
#pragma once

#include "broker/files/order.hpp"
#include "broker/files/table.hpp"

namespace sallyport::files {

/// Opens, or makes, the file that `order` is about, under the first of its grants that accepts it. If none does, what is said is
/// about the first grant, which is the one for the deepest directory.
///
/// THREAT: somebody acts between two of our steps. What is opened is the inode that was judged (reopen()), what is made did not
/// exist (O_EXCL), and where the kernel then says that it lies is judged again as if the host had named it.
Outcome<Opened> open(const Table& table, const Order& order);

}  // namespace sallyport::files
