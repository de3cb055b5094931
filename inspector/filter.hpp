// Takes out of a reply what the policy does not show.
// Runs in:  inspector, in a child
// Input:    replies whose values are whatever the guest's users chose; rules of the broker, which is trusted
//
// THREAT: a user of the guest whose name took the child over has what he likes shown. He could tell the host himself; the host,
// against whom the rules are, reaches a child only by a command's name (docs/threat-model.md).
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>

#include "ipc/inspector.pb.h"
#include "schema/commands.hpp"
#include "schema/inspect.pb.h"

namespace sallyport::inspector {

/// Members of replies that can be left out, by their number in inspector.proto.
using Members = std::bitset<ipc::ReplyFilter::Member_MAX + 1>;

/// A command, and the moment at which it is asked for.
struct Asked {
    const ipc::ReplyRules& rules;
    CommandId command;
    std::int64_t now;  // seconds since 1970
};

/// The names of one kind that a filter lists.
using Names = const google::protobuf::RepeatedPtrField<std::string>& (ipc::ReplyFilter::*)() const;

/// What of one thing in a reply the host sees: nothing unless a rule shows it; then all but the members that each of the
/// rules which show it leaves out.
struct Shown {
    bool is_shown = false;
    Members without;
};

/// What is seen of a thing that `names` knows as `name`; of a thing without names, if `names` is null.
Shown shown(const Asked& asked, Names names = nullptr, std::string_view name = {});

/// Leaves in the reply to what is asked the entries and members that a rule shows.
void filter_reply(const Asked& asked, schema::Inspected& reply);

}  // namespace sallyport::inspector
