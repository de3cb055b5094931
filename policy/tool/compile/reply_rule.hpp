// The `reply` of a rule.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include "policy/policy.pb.h"
#include "policy/tool/compile/reader.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::compile {

/// Reads `reply` of `rule` into `to`, whose commands are `commands`.
void read_reply(Reader& reader, const toml::table& rule, CommandSet commands, compiled::Rule& to);

}  // namespace sallyport::policy::compile
