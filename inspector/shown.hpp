// What of a thing in a reply the policy shows.
// Runs in:  inspector, in a child; the policy tool
// Input:    names that the guest's users chose; rules of the broker, which is trusted
// Relies on: nothing: pure, no I/O, no clock
#pragma once

#include <bitset>
#include <string_view>

#include "base/clock.hpp"
#include "ipc/inspector.pb.h"
#include "schema/commands.hpp"

namespace sallyport::inspector {

/// Members of replies that can be left out, by their number in inspector.proto.
using Members = std::bitset<ipc::ReplyFilter::Member_MAX + 1>;

/// A command, and the moment at which it is asked for.
struct Asked {
    const ipc::ReplyRules& rules;
    CommandId command;
    Moment now;
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

}  // namespace sallyport::inspector
