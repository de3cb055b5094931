// Finds what a path names at this moment, from the root directory on.
// Runs in:  files, in a clerk
// Input:    paths that policy/decide has judged; the tree itself may be changed by local users at any moment
#pragma once

#include <string>
#include <vector>

#include "broker/files/order.hpp"
#include "broker/files/table.hpp"

namespace sallyport::files {

/// Where a path ends: the directory that holds its last name, and what has that name. Neither is opened for use.
struct Place {
    UniqueFd parent;
    std::string name;
    UniqueFd found;            // not open: nothing has that name
    bool is_dangling = false;  // and it is where a link leads that was the path's last name
};

/// One attempt to carry out an order, under one grant, which is for that rule.
struct Attempt {
    const Table& table;
    const Order& order;
    const policy::Grant& grant;
    const policy::FileRule& rule;
    Forbidden& forbidden;
};

/// Walks the path of the order. No descriptor of an earlier walk is used, so mounts and directories that came or went meanwhile are
/// seen. The parent's way up is not judged yet.
///
/// THREAT: a link leads out of the tree, or tells what exists behind a denial. The kernel walks alone where no link is met. Else each
/// name is judged before it is looked at: a link on the way to the rule's directory is never followed, one below it only if the
/// rule follows links, and a name that no rule covers, or a deny rule does, is not looked at.
/// Errors: a refusal, or the system's error.
Outcome<Place> find(const Attempt& attempt);

}  // namespace sallyport::files
