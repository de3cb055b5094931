// A child of the inspector: here libraries read what guest users have named.
// Runs in:  inspector, in a child, after lockdown_inspector_child()
#pragma once

#include <cstdint>

#include "base/unique_fd.hpp"
#include "inspector/sources.hpp"
#include "ipc/inspector.pb.h"
#include "schema/commands.hpp"

namespace sallyport::inspector {

/// The first byte of a child's frame. After it comes a part of the encoded schema.Inspected for the current query.
enum class Word : char {
    kMore = 'm',      // a part of the maximum size; more follow
    kLast = 'l',      // the last part: the query is answered
    kTooLarge = 't',  // nothing follows: the reply would be over its limit
    kNoBlocks = 'b',  // nothing follows: there is nothing to report
    kOutdated =
        'o',  // nothing follows: what the query is about has changed since the child was born; another is to answer
    kSystem = 's',  // the guest cannot say; an errno follows, in decimal digits
};

/// What a child gets.
struct Facts {
    Sources& sources;
    const ipc::ReplyRules& rules;
    CommandSet commands;
};

/// Answers the queries from `parent`, one after the other. Returns the exit status when the parent has gone or a query cannot be
/// answered.
int answer_queries(FdRef parent, const Facts& facts);

}  // namespace sallyport::inspector
