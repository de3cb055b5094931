// What the inspector and its children must be able to open. This follows from the commands that the policy allows.
// Runs in:  inspector; the policy tool
// Relies on: nothing: pure, no I/O
#pragma once

#include "sandbox/needs.hpp"
#include "schema/commands.hpp"

namespace sallyport::inspector {

/// Whether the command's answer is in a file to which links may lead.
constexpr bool follows_links(CommandId command) {
    return command == CommandId::kGetUsers || command == CommandId::kGetOsinfo ||
           command == CommandId::kGetTimezone;
}

sandbox::InspectorNeeds needs_of(CommandSet commands);

}  // namespace sallyport::inspector
