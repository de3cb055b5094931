// Finds what a path names at this moment, from the root directory.
// Runs in:  files, in a clerk
// Input:    paths that policy/decide has judged; local users can change the tree at any moment
#pragma once

#include <string>
#include <vector>

#include "broker/files/order.hpp"
#include "broker/files/table.hpp"

namespace sallyport::files {

/// The end of a path: the directory that holds the last name, and what has that name. Both are opened with O_PATH.
struct Place {
    UniqueFd parent;
    std::string name;
    UniqueFd found;            // closed: nothing has that name
    bool is_dangling = false;  // nothing has that name, and a link that was the path's last name leads there
};

/// An attempt to carry out an order under one of its grants.
struct Attempt {
    const Table& table;
    const Order& order;
    const policy::Grant& grant;
    const policy::FileRule& rule;
    Forbidden& forbidden;
};

/// Walks the path of the order. It uses no descriptor of an earlier walk, so it sees mounts and directories that came or went.
/// The way up from the parent is not judged yet.
///
/// THREAT: a link leads out of the tree, or tells what exists behind a denial. The kernel walks alone if no link is met.
/// Otherwise each name is judged before it is looked at: a link on the way to the rule's directory is never followed, a link
/// below it only if the rule follows links, and a name that no allow rule covers, or that a deny rule does, is not looked at.
/// Errors: a refusal, or the system's error.
Outcome<Place> find(const Attempt& attempt);

}  // namespace sallyport::files
