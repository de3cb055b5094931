// A rule's budget: `rate`, `bytes` and `concurrent`.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include "policy/policy.pb.h"
#include "policy/tool/compile/reader.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::compile {

/// Reads the keys of a rule for `commands`.
void read_budget(Reader& reader, const toml::table& rule, CommandSet commands, compiled::Rule& to);

}  // namespace sallyport::policy::compile
