// A rule's keys for shutdown and suspend: `modes` and `method`.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include "policy/policy.pb.h"
#include "policy/tool/compile/reader.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::compile {

/// Reads both keys of a rule for `commands`; an allow rule for guest-shutdown must have modes.
void read_power(Reader& reader, const toml::table& rule, CommandSet commands, compiled::Rule& to);

}  // namespace sallyport::policy::compile
