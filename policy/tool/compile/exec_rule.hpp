// The `exec` tables of an allow rule: the programs that a host may start, with their words, users and bounds.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include "policy/policy.pb.h"
#include "policy/tool/compile/passwd.hpp"
#include "policy/tool/compile/reader.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::compile {

/// Reads the tables of `rule`, whose commands are in `to`, into `to`; errors become problems of the reader.
void read_exec(Reader& reader, const Passwd& passwd, const toml::table& rule, compiled::Rule& to);

}  // namespace sallyport::policy::compile
