// What an allow rule lets a host set: `time`, `vcpus` and `memory`.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include "policy/policy.pb.h"
#include "policy/tool/compile/reader.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::compile {

/// Reads the keys of `rule`, whose commands are in `to`, into `to`; what is wrong becomes a problem of the reader.
void read_sets(Reader& reader, const toml::table& rule, compiled::Rule& to);

}  // namespace sallyport::policy::compile
