// Checks the inspector's replies, which the broker relays: the only input from one of our processes that nobody has checked
// before.
// Runs in:  worker
// Input:    bytes of the inspector
//
// THREAT: a guest user has taken over the inspector. It sends another command's reply, unknown fields, numbers that JSON cannot
// have, or so many empty items that their text fills the memory.
#pragma once

#include <google/protobuf/descriptor.h>

#include <string_view>

#include "schema/inspect.pb.h"

namespace sallyport::worker {

/// Parses `bytes` into `inspected`. Returns the member `field`, that of the command, if an honest inspector could have sent it:
/// in canonical form, complete, with known enum values and finite numbers. Otherwise null.
const google::protobuf::Message* take_inspected(std::string_view bytes,
                                                const google::protobuf::FieldDescriptor& field,
                                                schema::Inspected& inspected);

}  // namespace sallyport::worker
