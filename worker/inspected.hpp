// What the inspector says, as the broker relays it: the one thing that comes from a process of ours which nobody looked at before.
// Runs in:  worker
// Input:    bytes of the inspector
//
// THREAT: a user of the guest has taken the inspector over. It answers with another command's reply, with fields that nobody
// declared, with numbers that no JSON has, or with so many empty things that their text fills the memory.
#pragma once

#include <google/protobuf/descriptor.h>

#include <string_view>

#include "schema/inspect.pb.h"

namespace sallyport::worker {

/// The reply in `bytes`, held by `inspected`, if that is one which an honest inspector could write under `field`, the member of
/// its command: in the one form that the schema allows, complete, of known words and finite numbers. Else null.
const google::protobuf::Message* take_inspected(std::string_view bytes,
                                                const google::protobuf::FieldDescriptor& field,
                                                schema::Inspected& inspected);

}  // namespace sallyport::worker
