// A child of the inspector: where libraries read what the guest's users named.
// Runs in:  inspector, in a child, after lockdown_inspector_child()
#pragma once

#include <cstdint>

#include "base/unique_fd.hpp"
#include "inspector/sources.hpp"
#include "ipc/inspector.pb.h"
#include "schema/commands.hpp"

namespace sallyport::inspector {

/// The first byte of a frame of a child. What follows it is a part of the encoded schema.Inspected to the query at work.
enum class Word : char {
    kMore = 'm',      // a part of the greatest size; others follow
    kLast = 'l',      // the query is answered
    kTooLarge = 't',  // nothing follows: the reply would be beyond its bound
    kNoBlocks = 'b',  // nothing follows: there is nothing to report on
    kOutdated =
        'o',  // nothing follows: what the query is about has changed since the child was born; another is to answer
    kSystem = 's',  // the guest cannot say; an errno follows, in decimal digits
};

/// What a child is to have.
struct Facts {
    Sources& sources;
    const ipc::ReplyRules& rules;
    CommandSet commands;
};

/// Answers the queries that come from `parent`, one after the other. Gives back the exit status when the parent has gone
/// or a query cannot be answered.
int answer_queries(FdRef parent, const Facts& facts);

}  // namespace sallyport::inspector
