// The `freeze` table of a rule.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include "policy/policy.pb.h"
#include "policy/tool/compile/reader.hpp"

namespace sallyport::policy::compile {

/// Reads `freeze` of `rule` into `to`, if it exists.
void read_freeze(Reader& reader, const toml::table& rule, compiled::Rule& to);

}  // namespace sallyport::policy::compile
