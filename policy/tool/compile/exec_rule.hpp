// The `exec` tables of an allow rule: which programs a host may start, with which words, as whom, and how far.
// Runs in:  the policy tool, after lockdown_compiler()
#pragma once

#include "policy/policy.pb.h"
#include "policy/tool/compile/passwd.hpp"
#include "policy/tool/compile/reader.hpp"
#include "schema/commands.hpp"

namespace sallyport::policy::compile {

/// Reads the tables of `rule`, whose commands are in `to`, into `to`; what is wrong becomes a problem of the reader.
void read_exec(Reader& reader, const Passwd& passwd, const toml::table& rule, compiled::Rule& to);

}  // namespace sallyport::policy::compile
