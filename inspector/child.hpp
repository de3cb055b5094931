// A child of the inspector: here libraries read what guest users have named.
// Runs in:  inspector, in a child, after lockdown_inspector_child()
#pragma once

#include "base/unique_fd.hpp"
#include "inspector/sources.hpp"
#include "ipc/inspected.hpp"
#include "ipc/inspector.pb.h"
#include "schema/commands.hpp"

namespace sallyport::inspector {

using ipc::Word;

/// What a child gets.
struct Facts {
    Sources& sources;
    const ipc::ReplyRules& rules;
    CommandSet commands;
};

/// Answers the queries from `broker`, one after the other. Returns the exit status when the broker has closed its end or a query
/// cannot be answered.
int answer_queries(FdRef broker, const Facts& facts);

}  // namespace sallyport::inspector
